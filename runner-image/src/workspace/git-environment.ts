/**
 * The environment and settings of every git the runner starts. git runs programs that its configuration names; here the
 * configuration is only ever ours, and the environment is built from nothing.
 */
import { GIT_BIG_FILE_BYTES } from '../../../shared/limits.ts';

/** Which transports one call may use; whatever is not named is `never`, `ext::` and `fd::` always are. */
export type GitProtocol = 'file' | 'http' | 'https' | 'ssh';

export interface GitEnvironmentOptions {
  /** A folder of the runner's without any configuration of a person. */
  readonly home: string;
  readonly protocols: readonly GitProtocol[];
  /** A configuration file of the runner's (`trustConfig`); the only one git reads besides the repository's. */
  readonly configFile?: string;
  /** Passed on from the runner's own environment: `inheritedVariables`. */
  readonly inherited: Readonly<Record<string, string>>;
  /** Sent with https requests to `origin` only; never in an argument, a URL or a file. */
  readonly authorization?: { readonly origin: string; readonly header: string };
}

/** What a git of ours may take over: where programs are, how to reach the network, the person's ssh agent. */
const INHERITED = [
  'PATH',
  'TMPDIR',
  // pty-host ends by it what a crashed runner left running.
  'VILLAGE_RUNNER_MARK',
  'SSH_AUTH_SOCK',
  'HTTPS_PROXY',
  'https_proxy',
  'NO_PROXY',
  'no_proxy',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GIT_SSL_CAINFO',
] as const;

/** The allow-listed part of an environment. */
export const inheritedVariables = (environment: Readonly<Record<string, string | undefined>>) => {
  const kept: Record<string, string> = {};
  for (const name of INHERITED) {
    const value = environment[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
};

const ALL_PROTOCOLS: readonly GitProtocol[] = ['file', 'http', 'https', 'ssh'];

/** Settings that stop git from starting anything; on the command line they win over every file. */
const guards = (protocols: readonly GitProtocol[]): [string, string][] => [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.untrackedCache', 'false'],
  ['core.pager', 'cat'],
  ['core.editor', 'false'],
  ['core.askPass', ''],
  ['core.quotePath', 'false'],
  ['core.bigFileThreshold', String(GIT_BIG_FILE_BYTES)],
  ['credential.helper', ''],
  ['gpg.program', 'false'],
  ['submodule.recurse', 'false'],
  ['fetch.recurseSubmodules', 'false'],
  ['gc.autoDetach', 'false'],
  ['maintenance.auto', 'false'],
  ['advice.detachedHead', 'false'],
  // git would send the token's header to wherever a redirect points.
  ['http.followRedirects', 'false'],
  ['protocol.allow', 'never'],
  ...ALL_PROTOCOLS.map((name): [string, string] => [
    `protocol.${name}.allow`,
    protocols.includes(name) ? 'always' : 'never',
  ]),
];

/** `-c` arguments that go before the git command. */
export const guardArguments = (protocols: readonly GitProtocol[]): string[] =>
  guards(protocols).flatMap(([name, value]) => ['-c', `${name}=${value}`]);

/**
 * A configuration that lets git read repositories of another owner. It has to be a file: git clears settings given by
 * argument or environment before it starts `upload-pack` on a local repository.
 */
export const trustConfig = (folders: readonly string[]): string =>
  `[safe]\n${folders.map((folder) => `\tdirectory = "${folder.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"\n`).join('')}`;

const SSH_COMMAND =
  'ssh -oBatchMode=yes -oConnectTimeout=6 -oStrictHostKeyChecking=accept-new -oClearAllForwardings=yes -oPermitLocalCommand=no';

/** The whole environment of a call. Settings in `GIT_CONFIG_COUNT` are used for what must not be seen in `ps`. */
export const gitEnvironment = (options: GitEnvironmentOptions): Record<string, string> => {
  const settings: [string, string][] = [];
  if (options.authorization) {
    settings.push([`http.${options.authorization.origin}/.extraHeader`, options.authorization.header]);
  }
  const counted: Record<string, string> = { GIT_CONFIG_COUNT: String(settings.length) };
  settings.forEach(([name, value], at) => {
    counted[`GIT_CONFIG_KEY_${at}`] = name;
    counted[`GIT_CONFIG_VALUE_${at}`] = value;
  });
  return {
    ...options.inherited,
    HOME: options.home,
    XDG_CONFIG_HOME: options.home,
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: 'false',
    SSH_ASKPASS: 'false',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: options.configFile ?? '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_ALLOW_PROTOCOL: options.protocols.join(':'),
    GIT_PROTOCOL_FROM_USER: '0',
    GIT_NO_LAZY_FETCH: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_SSH_COMMAND: SSH_COMMAND,
    GIT_SSH_VARIANT: 'ssh',
    ...counted,
  };
};
