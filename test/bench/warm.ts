/**
 * A runner of the warm pool gets its session: from `assign` to the first byte of the CLI's terminal, against the bare start of the same
 * CLI in the same run. pty-host and runner are real processes, made and idle before the clock starts; the control plane is the tests' own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SessionConfig } from '../../shared/session.ts';
import { type FakeControlPlane, startFakeControlPlane } from '../fakes/control-plane.ts';
import { AGENT_ID, makeRepository, sessionIdOf } from '../integration/runner-fixture.ts';
import { bareShell } from './bare-shell.ts';
import { ROOT, type Summary, summarise } from './harness.ts';

const VIEWER = 'viewer-1';
const WARM_UP = 2;
const IDLE_MS = 1_000;

interface Round {
  readonly firstByteMs: number;
  /** From the assignment to each of these, on the runner's clock; whole milliseconds. */
  readonly steps: Readonly<Record<string, number>>;
}

const bareStart = async (): Promise<number> => {
  const startedMs = performance.now();
  const shell = bareShell();
  await new Promise<void>((resolve) => shell.onData(() => resolve()));
  const tookMs = performance.now() - startedMs;
  const ended = new Promise<void>((resolve) => shell.onExit(() => resolve()));
  shell.kill('SIGKILL');
  await ended;
  return tookMs;
};

const startRunner = (control: FakeControlPlane, root: string, round: number): ChildProcess => {
  const own = join(root, `round-${round}`);
  mkdirSync(own, { mode: 0o700 });
  const child = spawn(process.execPath, ['runner-image/src/pty-host/main.ts'], {
    cwd: ROOT,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: {
      ...{ PATH: process.env.PATH, HOME: own, TMPDIR: own, VILLAGE_DIE_WITH_PARENT: '1', LOG_LEVEL: 'warn' },
      ...{ CONTROL_PLANE_URL: control.url, CONTROL_PLANE_TOKEN: control.token },
      // One cache of mirrors, as the runners of one machine have it.
      ...{ WORKSPACE_ROOT: join(root, 'village'), VILLAGE_STATE_DIR: join(own, 'state') },
    },
  });
  child.stdin?.on('error', () => {});
  return child;
};

const stepsOf = (session: FakeControlPlane['sessions'][number]): Record<string, number> => {
  const at = (type: string) => session.events.find((event) => event.type === type)?.ts ?? Number.NaN;
  const assignedAtMs = at('session_assigned');
  return {
    workspaceReady: at('workspace_ready') - assignedAtMs,
    providerStarted: at('provider_started') - assignedAtMs,
  };
};

const oneRound = async (config: SessionConfig, root: string, round: number): Promise<Round> => {
  const control = await startFakeControlPlane({
    config,
    kind: 'warm',
    credentials: {
      expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
      model: { kind: 'none' },
      repository: { token: null, username: null },
      inputs: {},
    },
  });
  const runner = startRunner(control, root, round);
  const exited = new Promise((resolve) => runner.once('exit', resolve));
  try {
    await control.until('hello', () => control.frames.some(({ type }) => type === 'hello'));
    // As in a pool: what it does at its start is over long before it is claimed.
    await delay(IDLE_MS);
    const startedMs = performance.now();
    const session = control.add(config);
    session.setWatchers({
      ...{ rev: 1, controllerId: VIEWER, controlTerm: 1 },
      viewers: [{ viewerId: VIEWER, mode: 'control' }],
    });
    await control.until('the first byte', () => control.frames.some(({ type }) => type === 'terminal_output'));
    const firstByteMs = performance.now() - startedMs;
    await control.until('events', () => session.events.some(({ type }) => type === 'provider_started'));
    const { problems } = control;
    if (problems.length > 0) throw new Error(problems.join('\n'));
    return { firstByteMs, steps: stepsOf(session) };
  } finally {
    runner.stdin?.destroy();
    await exited;
    await control.close();
  }
};

export const warm = async (n: number): Promise<object> => {
  const root = mkdtempSync(join(tmpdir(), 'village-bench-warm-'));
  try {
    const repository = makeRepository(join(root, 'origin'));
    const config = SessionConfig.parse({
      ...{ sessionId: sessionIdOf('A'), tenantId: 'local', agentId: AGENT_ID, provider: 'shell', buildId: 'local' },
      ...{ model: 'default', repository: { url: repository } },
    });
    const rounds: Round[] = [];
    const bare: number[] = [];
    for (let round = 0; round < n + WARM_UP; round += 1) {
      const bareMs = await bareStart();
      const result = await oneRound(config, root, round);
      if (round < WARM_UP) continue;
      bare.push(bareMs);
      rounds.push(result);
    }
    const firstByte = summarise(rounds.map(({ firstByteMs }) => firstByteMs));
    const baseline = { what: 'bash on node-pty to its first byte, nothing else: no clone', bareStart: summarise(bare) };
    const step = (name: string): Summary => summarise(rounds.map(({ steps }) => steps[name] ?? Number.NaN));
    const steps = { workspaceReady: step('workspaceReady'), providerStarted: step('providerStarted') };
    const overBareP50 = Math.round((firstByte.p50 - baseline.bareStart.p50) * 100) / 100;
    return { n, unit: 'ms', baseline, firstByte, overBareP50, steps };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
};
