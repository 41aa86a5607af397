/** What `village-runner` was asked, checked: every bad value gets one line that says what to do. */
import { statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { RUNNER_SESSIONS_DEFAULT, RUNNER_SESSIONS_MAX } from '../../../shared/limits.ts';
import { parseRunnerCredential } from '../../../shared/runner-credential.ts';

export const USAGE = `usage: village-runner --url <origin> --token <token> [options]

Runs sessions of a village on this machine. The command with its token is printed by: village runners register
Later starts need neither: the runner goes on with the credential it keeps.

  --url <origin>         origin of the village, as https://village.example
  --token <token>        one-use token of the registration; counts for an hour
  --workspace <dir>      folder for mirrors and clones (default: ~/.local/state/agent-village/<name>)
  --state <dir>          private folder for credential and journals (default: <workspace>/state)
  --max-sessions <n>     sessions at once, 1 to ${RUNNER_SESSIONS_MAX} (default: ${RUNNER_SESSIONS_DEFAULT})
  --name <name>          for people; tells the default folders of several runners apart
  --build-dir <dir>      folder of pinned CLIs; without it they are looked for in PATH
  --help, --version
`;

export interface HostOptions {
  /** Absent: as stored by the start before. */
  readonly url: string | undefined;
  readonly token: string | undefined;
  readonly workspace: string;
  readonly state: string;
  readonly maxSessions: number;
  readonly buildDir: string | undefined;
}

export type ParsedOptions =
  | { readonly kind: 'run'; readonly options: HostOptions }
  | { readonly kind: 'help' | 'version' }
  | { readonly kind: 'bad'; readonly lines: readonly string[] };

type Environment = Readonly<Record<string, string | undefined>>;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/;

const originProblem = (url: string): string | undefined => {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return 'must be an http or https address';
  if (parsed.username !== '' || parsed.search !== '' || parsed.hash !== '')
    return 'must be an origin alone, without user, query or fragment';
  return undefined;
};

const tokenProblem = (token: string): string | undefined => {
  const principal = parseRunnerCredential(token)?.principal;
  if (principal === undefined) return 'is no token of a runner: copy the whole command that was printed';
  return principal.kind === 'group'
    ? undefined
    : 'is not a registered runner’s: register one with village runners register';
};

const sessionsProblem = (text: string): string | undefined =>
  /^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= RUNNER_SESSIONS_MAX
    ? undefined
    : `must be a number from 1 to ${RUNNER_SESSIONS_MAX}`;

const folderProblem = (folder: string): string | undefined => {
  const stat = statSync(folder, { throwIfNoEntry: false });
  return stat?.isDirectory() ? undefined : `is no folder: ${folder}`;
};

/** Where a person's programs keep what is neither configuration nor cache. */
const stateHome = ({ XDG_STATE_HOME, HOME }: Environment): string | undefined => {
  if (XDG_STATE_HOME !== undefined && isAbsolute(XDG_STATE_HOME)) return XDG_STATE_HOME;
  return HOME === undefined || HOME === '' ? undefined : join(HOME, '.local', 'state');
};

const read = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    options: {
      url: { type: 'string' },
      token: { type: 'string' },
      workspace: { type: 'string' },
      state: { type: 'string' },
      'max-sessions': { type: 'string' },
      name: { type: 'string' },
      'build-dir': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
    },
  }).values;

/** Relative folders count from `cwd`. What an option does not say, the variables of the image may (docs/developer/configuration.md). */
export const parseOptions = (args: readonly string[], env: Environment, cwd: string): ParsedOptions => {
  let values: ReturnType<typeof read>;
  try {
    values = read(args);
  } catch (error) {
    return { kind: 'bad', lines: [error instanceof Error ? error.message : String(error)] };
  }
  if (values.help) return { kind: 'help' };
  if (values.version) return { kind: 'version' };
  const url = values.url ?? env.CONTROL_PLANE_URL;
  const token = values.token ?? env.CONTROL_PLANE_TOKEN;
  const sessions = values['max-sessions'] ?? env.MAX_CONCURRENT_SESSIONS ?? String(RUNNER_SESSIONS_DEFAULT);
  const build = values['build-dir'] ?? env.VILLAGE_BUILD_DIR;
  const home = stateHome(env);
  const base = values.workspace ?? env.WORKSPACE_ROOT ?? (home && join(home, 'agent-village', values.name ?? 'runner'));
  const workspace = base === undefined ? undefined : resolve(cwd, base);
  const buildDir = build === undefined ? undefined : resolve(cwd, build);
  const problems: readonly (readonly [string, string | undefined])[] = [
    ['--url', url === undefined ? undefined : originProblem(url)],
    ['--token', token === undefined ? undefined : tokenProblem(token)],
    ['--max-sessions', sessionsProblem(sessions)],
    [
      '--name',
      values.name === undefined || NAME.test(values.name)
        ? undefined
        : 'may have letters, digits, . _ and -, at most 40',
    ],
    ['--build-dir', buildDir === undefined ? undefined : folderProblem(buildDir)],
    ['--workspace', workspace === undefined ? 'is needed, because HOME is not set' : undefined],
  ];
  const lines = problems.flatMap(([name, problem]) => (problem === undefined ? [] : [`${name} ${problem}`]));
  if (lines.length > 0 || workspace === undefined) return { kind: 'bad', lines };
  const state = resolve(cwd, values.state ?? env.VILLAGE_STATE_DIR ?? join(workspace, 'state'));
  return { kind: 'run', options: { url, token, workspace, state, maxSessions: Number(sessions), buildDir } };
};
