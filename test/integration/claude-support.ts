/** A session of the real Claude Code on the scripted model, as the integration tests start it: no runner, no network, nothing inherited. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { installCli } from '../../local/builds/install-cli.ts';
import { startClaudeSession } from '../../runner-image/src/adapters/claude-code/session.ts';
import type { ProviderEvent, ProviderSession } from '../../runner-image/src/adapters/contract.ts';
import { startModelProxy } from '../../runner-image/src/brokers/model-proxy/model-proxy.ts';
import {
  type ScriptedModel,
  startScriptedModel,
} from '../../runner-image/src/brokers/scripted-model/scripted-model.ts';
import { workspacePolicy } from '../../runner-image/src/policy/decide-tool.ts';
import { type Clock, systemClock } from '../../shared/clock.ts';
import type { Scenario } from '../../shared/scenario.ts';
import { processesWith, type TestTerminal, testTerminal } from './agent-pty.ts';

export const CLAUDE_VERSION = '2.1.330';

export type ClaudeCli =
  | { readonly kind: 'ready'; readonly file: string }
  | { readonly kind: 'missing'; readonly reason: string };

/** The cached CLI, downloaded once. With CI set a CLI that cannot be had is an error instead of a reason to skip. */
export async function claudeCli(): Promise<ClaudeCli> {
  const installed = await installCli({
    provider: 'claude_code',
    version: CLAUDE_VERSION,
    onProgress: (line) => console.log(line),
  });
  if (installed.kind === 'installed') return { kind: 'ready', file: installed.binPath };
  if (process.env.CI) throw new Error(`prerequisite missing: ${installed.message}`);
  console.warn(`skipped: ${installed.message}`);
  return { kind: 'missing', reason: installed.message };
}

export interface ClaudeRun {
  readonly session: ProviderSession;
  readonly model: ScriptedModel;
  readonly terminal: TestTerminal;
  readonly workspace: string;
  readonly privateDir: string;
  readonly events: ProviderEvent[];
  types(): string[];
  /** Ends everything and asserts nothing. */
  cleanUp(): Promise<void>;
}

export interface ClaudeRunOptions {
  readonly file: string;
  readonly turns: Scenario['turns'];
  readonly clock?: Clock;
  readonly hook?: { readonly clientFile: string };
  /** The CLI reaches the model through the proxy that swaps its key. */
  readonly throughProxy?: boolean;
  /** Runs in the fresh workspace before the CLI starts. */
  readonly prepare?: (workspace: string) => void;
}

const MODEL_KEY = 'dummy-key-0123456789abcdef0123456789abcdef';

export async function runClaude(options: ClaudeRunOptions): Promise<ClaudeRun> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'village-claude-')));
  const workspace = join(root, 'workspace');
  const privateDir = join(root, 'private');
  mkdirSync(workspace);
  mkdirSync(privateDir, { mode: 0o700 });
  options.prepare?.(workspace);
  const clock = options.clock ?? systemClock;
  const events: ProviderEvent[] = [];
  const terminal = testTerminal(privateDir);
  const model = await startScriptedModel({ scenario: { turns: options.turns }, workspace, key: MODEL_KEY, clock });
  const proxyKey = 'dummy-key-of-the-proxy-0123456789';
  const proxy =
    options.throughProxy === true
      ? await startModelProxy({ upstream: model.url, realKey: async () => MODEL_KEY, dummyKey: proxyKey })
      : undefined;
  const session = await startClaudeSession({
    config: {
      file: options.file,
      cliVersion: CLAUDE_VERSION,
      workspace,
      privateDir,
      path: `${dirname(process.execPath)}:/usr/bin:/bin`,
      cliInstanceId: crypto.randomUUID(),
    },
    model:
      proxy === undefined ? { baseUrl: model.url, dummyKey: MODEL_KEY } : { baseUrl: proxy.url, dummyKey: proxyKey },
    ports: {
      pty: terminal.pty,
      clock,
      screenText: terminal.screenText,
      policy: workspacePolicy({ workspace }),
      onEvents: (some) => void events.push(...some),
      whenFree: async () => {},
    },
    ...(options.hook === undefined ? {} : { hook: options.hook }),
  });
  return {
    session,
    model,
    terminal,
    workspace,
    privateDir,
    events,
    types: () => events.map((event) => event.type),
    async cleanUp() {
      await session.stop({ graceMs: 2_000 });
      await proxy?.stop();
      await model.stop();
      rmSync(root, { recursive: true, force: true });
      if (processesWith(privateDir).length > 0) throw new Error('a process outlived its session');
    },
  };
}
