/** A whole session inside the test's own process, as its own process runs it: each way it can go, seen by coverage too. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { WatcherList } from '../../shared/frames.ts';
import type { RunnerCredentials } from '../../shared/http.ts';
import { type RunnerSetup, SESSION_ID, startRunnerInProcess } from './runner-fixture.ts';

const FAKE_AGENT = fileURLToPath(new URL('../fakes/agent/main.ts', import.meta.url));
const VIEWER = 'viewer-1';
const led: WatcherList = {
  rev: 1,
  viewers: [{ viewerId: VIEWER, mode: 'control' }],
  controllerId: VIEWER,
  controlTerm: 1,
};

type Started = Awaited<ReturnType<typeof startRunnerInProcess>>;
const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const start = async (setup?: RunnerSetup): Promise<Started> => {
  const started = await startRunnerInProcess(setup);
  cleanUps.push(() => started.stop());
  return started;
};
const inState = ({ control }: Started, state: string) =>
  control.until(state, () =>
    control.events.find((event) => event.type === 'session_state_changed' && event.toState === state),
  );
const ofSession = { sessionId: SESSION_ID, epoch: 1, viewerId: VIEWER };
const input = { type: 'input', ...ofSession, source: 'viewer', controlTerm: 1, submit: false } as const;
const size = { cols: 100, rows: 40, controlTerm: 1 };
const types = ({ control }: Started) => control.events.map(({ type }) => type);
const last = ({ control }: Started) => control.events.at(-1);

describe('a shell session', () => {
  it('is led, resized, asked by HTTP, watched by a second viewer, cut, and stopped', async () => {
    const started = await start({ env: { METRICS_ENABLED: 'true' } });
    const { control } = started;
    await inState(started, 'running');
    control.setWatchers(led);
    control.post({ type: 'attach', ...ofSession, rev: 1, mode: 'control', ...size });
    await control.until('snapshot', () => control.frames.find(({ type }) => type === 'terminal_snapshot'));
    control.post({ type: 'resize', ...ofSession, rev: 2, ...size });
    await control.until('size', () => control.events.find(({ type }) => type === 'terminal_resized'));
    control.post({ type: 'resize', ...ofSession, viewerId: 'somebody', rev: 3, ...size });
    control.post({ ...input, inputSeq: 2, data: 'echo $((6*7))-out; stty size; mkdir -p d; echo x > d/f.txt\r' });
    control.post({ ...input, inputSeq: 1, data: 'true; ' });
    await control.until('echo', () => control.output().includes('42-out') && control.output().includes('40 100'));
    await control.until('file', () => control.events.find(({ type }) => type === 'file_touched'));
    await control.until('diff', () => control.events.find(({ type }) => type === 'diff_summary'));
    const lane = { ...input, viewerId: 'api-input', source: 'api', controlTerm: 0, submit: true } as const;
    control.post({ ...lane, inputSeq: 5, data: 'echo by-$((1+1))-http' });
    await control.until('http', () => control.output().includes('by-2-http'));
    control.post({ ...input, controlTerm: 9, inputSeq: 1, data: 'refused' });
    await control.until('refusal', () => control.frames.find(({ type }) => type === 'input_reset'));
    control.post({ type: 'ping', ts: 1 });
    await control.until('pong', () => control.frames.find(({ type }) => type === 'pong'));
    control.cut();
    await control.until('next dial', () => control.dials.length > 1 || undefined);
    control.ask('stop');
    expect(await started.exited).toBe(0);
    expect(control.problems).toEqual([]);
    expect(last(started)).toMatchObject({ state: 'completed', reason: { code: 'stopped' } });
    expect(control.output()).not.toContain('refused');
    expect(control.events.map(({ rseq }) => rseq)).toEqual(control.events.map((_, index) => index + 1));
    expect(started.workspaces()).toEqual([]);
  });

  it('is paused, goes on, and ends when its shell does', async () => {
    const started = await start();
    const { control } = started;
    await inState(started, 'running');
    control.setWatchers(led);
    control.ask('pause');
    await inState(started, 'paused_by_human');
    control.ask('run');
    await control.until('running again', () =>
      control.events.find((event) => event.fromState === 'paused_by_human' && event.toState === 'running'),
    );
    control.post({ ...input, inputSeq: 1, data: 'exit 3\r' });
    expect(await started.exited).toBe(0);
    expect(last(started)).toMatchObject({ state: 'completed', reason: { code: 'exited' } });
    expect(control.problems).toEqual([]);
  });

  it('is given back in order when it is told to drain', async () => {
    const started = await start();
    await inState(started, 'running');
    started.drain();
    expect(await started.exited).toBe(0);
    expect(last(started)).toMatchObject({ type: 'epoch_drained', checkpointKey: expect.any(String) });
    expect(types(started)).toContain('runner_draining');
  });

  it('floods its viewer and still shows the last line', async () => {
    const started = await start();
    const { control } = started;
    await inState(started, 'running');
    control.setWatchers(led);
    control.post({ type: 'attach', ...ofSession, rev: 1, mode: 'control', ...size });
    control.post({ ...input, inputSeq: 1, data: 'seq 1 200000; echo last-$((40+2))\r' });
    const snapshots = () => control.frames.filter(({ type }) => type === 'terminal_snapshot');
    await control.until('the last line', () =>
      [...snapshots(), ...control.frames.filter(({ type }) => type === 'terminal_output')].find(
        (frame) => 'data' in frame && String(frame.data).includes('last-42'),
      ),
    );
    control.ask('stop');
    expect(await started.exited).toBe(0);
    expect(snapshots().length).toBeGreaterThan(0);
    expect(control.problems).toEqual([]);
  });

  it.each([
    ['repository_not_found', { repository: { url: '/nonexistent/repository' } }],
    ['cli_missing', { provider: 'claude_code' }],
    ['provider_unavailable', { provider: 'codex' }],
  ] as const)('fails with %s', async (code, config) => {
    const started = await start({ config });
    expect(await started.exited).toBe(0);
    const reason = last(started)?.reason;
    expect(last(started)).toMatchObject({ state: 'failed', reason: { message: expect.any(String) } });
    if (code !== 'provider_unavailable') expect(reason).toMatchObject({ code });
    expect(started.workspaces()).toEqual([]);
  });

  it('is stopped by its own limits', async () => {
    const started = await start({ config: { idleMs: 1_000 } });
    expect(await started.exited).toBe(0);
    expect(types(started)).toContain('alert_raised');
    expect(last(started)).toMatchObject({ type: 'session_ended' });
  });
});

describe('a gated agent', () => {
  const fakeCli = (script: (scenario: string) => string, turns: readonly object[]): string => {
    const folder = mkdtempSync(join(tmpdir(), 'village-in-process-'));
    cleanUps.push(() => rmSync(folder, { recursive: true, force: true }));
    const scenario = join(folder, 'scenario.json');
    writeFileSync(scenario, JSON.stringify({ turns }));
    const file = join(folder, 'claude');
    writeFileSync(file, `#!/bin/sh\n${script(scenario)}\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const agent = (scenario: string) => `exec '${process.execPath}' '${FAKE_AGENT}' --scenario '${scenario}' "$@"`;
  const claude = { provider: 'claude_code', model: 'scripted' } as const;
  const scripted: RunnerCredentials['model'] = { kind: 'scripted', scenario: { turns: [{ steps: [{ say: 'x' }] }] } };

  it('plays its prompt through the gate and completes by itself', async () => {
    const turns = [
      { steps: [{ write: { path: 'a.txt', content: 'a\n' } }, { run: 'sudo -n true' }, { run: 'cat a.txt' }] },
    ];
    const started = await start({
      env: { CLAUDE_CODE_PATH: fakeCli(agent, turns) },
      config: { ...claude, endWhenDone: true },
      credentials: {
        model: scripted,
        inputs: { prompt: 'Do it.', task: { title: 'T', goal: 'g', constraints: ['c'], acceptance: ['a'] } },
      },
    });
    const { control } = started;
    await control.until('a denial', () => control.events.find(({ type }) => type === 'tool_denied'));
    await control.until('a turn', () => control.events.find(({ type }) => type === 'turn_finished'));
    control.ask('stop');
    expect(await started.exited).toBe(0);
    expect(control.problems).toEqual([]);
    expect(types(started)).toEqual(
      expect.arrayContaining(['gate_proven', 'turn_started', 'tool_finished', 'file_touched']),
    );
    expect(last(started)).toMatchObject({ state: 'completed' });
  });

  it('fails with its last screen when it ends at once', async () => {
    const version = 'if [ "$1" = --version ]; then echo "2.1.330 (Claude Code)"; exit 0; fi';
    const started = await start({
      env: { CLAUDE_CODE_PATH: fakeCli(() => `${version}\necho "license has expired"\nexit 4`, []) },
      config: claude,
      credentials: { model: scripted },
    });
    expect(await started.exited).toBe(0);
    expect(started.control.events.findLast(({ type }) => type === 'session_state_changed')).toMatchObject({
      toState: 'failed',
      reason: { step: 'starting_provider', lastScreen: expect.stringContaining('license has expired') },
    });
  });
});
