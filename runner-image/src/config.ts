/** The runner's whole configuration: parsed once from the environment, so that nothing else reads process.env. */
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { BuildId, RunnerId } from '../../shared/ids.ts';
import { RUNNER_SESSIONS_MAX, USAGE_TICK_DEFAULT_MS } from '../../shared/limits.ts';
import { parseRunnerCredential, type RunnerPrincipal } from '../../shared/runner-credential.ts';
import { DsnText } from './health/error-report.ts';

const absolutePath = z.string().startsWith('/', 'must be an absolute path');
const flag = z.enum(['true', 'false', '1', '0']).transform((value) => value === 'true' || value === '1');
const wsAddress = z.url({ protocol: /^(https?|wss?)$/, error: 'must be an http(s) or ws(s) address' });

interface Setting {
  readonly schema: z.ZodType;
  /** What the table in docs/developer/configuration.md says about it. */
  readonly about: string;
}

/** One row per variable; docs/developer/configuration.md is this list as a table. An empty value counts as absent. */
export const RUNNER_SETTINGS = {
  RUNNER_ID: {
    schema: RunnerId.optional(),
    about: 'Name of this runner; a random one when absent, and the registered one for a token that was registered.',
  },
  RUNNER_VERSION: { schema: z.string().max(80).default('0.1.0-dev'), about: 'Version of the runner build.' },
  CONTROL_PLANE_URL: { schema: wsAddress, about: 'Origin of the control plane; the runner dials `/ws/runner` there.' },
  CONTROL_PLANE_TOKEN: {
    schema: z
      .string()
      .max(4_000)
      .refine(
        (token) => parseRunnerCredential(token) !== null,
        'must be a token of a runner: copy it as it was printed',
      ),
    about: 'One-use start token; exchanged at the first dial. What it names decides how many sessions it may hold.',
  },
  WORKSPACE_ROOT: {
    schema: absolutePath.default('/village'),
    about: 'Folder for repository mirrors and session workspaces.',
  },
  MAX_CONCURRENT_SESSIONS: {
    schema: z.coerce.number().int().min(1).max(RUNNER_SESSIONS_MAX).default(1),
    about: `Sessions at once, at most ${RUNNER_SESSIONS_MAX}; more than 1 only with the token of a registered runner.`,
  },
  USAGE_TICK_INTERVAL_MS: {
    schema: z.coerce.number().int().min(100).max(30_000).default(USAGE_TICK_DEFAULT_MS),
    about: 'Time between usage ticks; the tick is the heartbeat, so at most 30000.',
  },
  CLAUDE_CODE_PATH: { schema: absolutePath.optional(), about: 'Claude Code program; found in the build when absent.' },
  CODEX_PATH: { schema: absolutePath.optional(), about: 'Codex program; found in the build when absent.' },
  GEMINI_PATH: { schema: absolutePath.optional(), about: 'Gemini CLI program; found in the build when absent.' },
  LOG_LEVEL: {
    schema: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
    about: 'Least level that is logged.',
  },
  METRICS_ENABLED: {
    schema: flag.default(false),
    about: 'Logs a line with counters at each usage tick, and serves them at `/metrics` of the health address.',
  },
  SENTRY_DSN: {
    schema: DsnText.optional(),
    about: 'Where unexpected errors and crashes are reported, as Sentry takes them; nowhere when absent.',
  },
  VILLAGE_BUILD_ID: { schema: BuildId.default('local'), about: 'Build (runner image and pinned CLIs) this runner is.' },
  VILLAGE_BUILD_DIR: { schema: absolutePath.optional(), about: 'Folder of the build’s pinned CLIs.' },
  VILLAGE_TASK_DEFINITION: {
    schema: z.string().max(500).default(''),
    about: 'Task-definition revision this task runs; named in every usage row.',
  },
  VILLAGE_PTY_SOCKET: { schema: absolutePath, about: 'Socket of pty-host, which starts the runner and sets this.' },
  VILLAGE_STATE_DIR: {
    schema: absolutePath.optional(),
    about: 'Private folder for journal, spool and credential; under the temporary directory when absent.',
  },
} as const satisfies Record<string, Setting>;

type SettingName = keyof typeof RUNNER_SETTINGS;
type Parsed = { readonly [N in SettingName]: z.output<(typeof RUNNER_SETTINGS)[N]['schema']> };
const NAMES = Object.keys(RUNNER_SETTINGS) as SettingName[];

export interface RunnerConfig extends Omit<Parsed, 'RUNNER_ID' | 'VILLAGE_STATE_DIR'> {
  readonly RUNNER_ID: string;
  /** Whom the token names: one session, a runner that stays, or one that waits to be claimed. */
  readonly principal: RunnerPrincipal;
  /** Outlives a crash of the runner process: pty-host starts it again with the same environment. */
  readonly VILLAGE_STATE_DIR: string;
}

export type ConfigResult =
  | { readonly kind: 'ok'; readonly config: RunnerConfig }
  /** One line per bad variable, fit for a person; no value of a secret in it. */
  | { readonly kind: 'bad'; readonly lines: readonly string[] };

/** One folder per pty-host, so that a restarted runner finds its journal again and two runners never share one. */
const stateDirFor = (ptySocket: string): string =>
  join(tmpdir(), `village-runner-${createHash('sha256').update(ptySocket).digest('hex').slice(0, 16)}`);

/** Parses the environment. `randomId` names a runner that was given no name. */
export const parseConfig = (
  env: Readonly<Record<string, string | undefined>>,
  randomId: () => string,
): ConfigResult => {
  const present: Record<string, string> = {};
  for (const name of NAMES) {
    const value = env[name];
    if (value !== undefined && value !== '') present[name] = value;
  }
  const shape: Record<string, z.ZodType> = {};
  for (const name of NAMES) shape[name] = RUNNER_SETTINGS[name].schema;
  const parsed = z.object(shape).safeParse(present);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => {
      const name = String(issue.path[0]);
      return present[name] === undefined ? `${name} is not set` : `${name} is not usable: ${issue.message}`;
    });
    return { kind: 'bad', lines };
  }
  const values = parsed.data as Parsed;
  const principal = parseRunnerCredential(values.CONTROL_PLANE_TOKEN)?.principal;
  if (principal === undefined) throw new Error('a token that was checked is none');
  if (values.MAX_CONCURRENT_SESSIONS > 1 && principal.kind !== 'group') {
    const line =
      'MAX_CONCURRENT_SESSIONS is not usable: this token serves one session; register a runner to hold several';
    return { kind: 'bad', lines: [line] };
  }
  const config: RunnerConfig = {
    ...values,
    principal,
    RUNNER_ID: principal.kind === 'session' ? (values.RUNNER_ID ?? randomId()) : principal.runnerId,
    VILLAGE_STATE_DIR: values.VILLAGE_STATE_DIR ?? stateDirFor(values.VILLAGE_PTY_SOCKET),
  };
  return { kind: 'ok', config };
};

/** `wss://host/ws/runner` for an origin; http becomes ws. */
export const runnerSocketUrl = (origin: string): string => {
  const url = new URL(origin);
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:';
  url.pathname = `${url.pathname.replace(/\/$/, '')}/ws/runner`;
  return url.href;
};

/** Address of the HTTP API at the same origin. */
export const apiUrl = (origin: string, path: string): string => {
  const url = new URL(origin);
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'https:' : 'http:';
  url.pathname = `${url.pathname.replace(/\/$/, '')}${path}`;
  return url.href;
};
