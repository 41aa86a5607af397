/** A session over two epochs: what a runner gives back when it drains or parks, and what the next one makes of it. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { WatcherList } from '../../shared/frames.ts';
import { treeOf } from './checkpoint-support.ts';
import { type RunnerSetup, SESSION_ID, startRunnerInProcess } from './runner-fixture.ts';
import { git } from './workspace-support.ts';

const VIEWER = 'viewer-1';
const led: WatcherList = {
  rev: 1,
  viewers: [{ viewerId: VIEWER, mode: 'control' }],
  controllerId: VIEWER,
  controlTerm: 1,
};

type Started = Awaited<ReturnType<typeof startRunnerInProcess>>;
const cleanUps: (() => Promise<void> | void)[] = [];
const logs: (() => string)[] = [];
afterEach(async (context) => {
  if (context.task.result?.state === 'fail') for (const log of logs) console.log(log().slice(-6_000));
  logs.length = 0;
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const start = async (setup?: RunnerSetup): Promise<Started> => {
  const started = await startRunnerInProcess(setup);
  cleanUps.push(() => started.stop());
  logs.push(started.log);
  return started;
};
const seen = ({ control }: Started, what: string, look: (event: Record<string, unknown>) => boolean) =>
  control.until(what, () => control.events.find((event) => look(event)));
const inState = (started: Started, state: string) =>
  seen(started, state, (event) => event.type === 'session_state_changed' && event.toState === state);
const types = ({ control }: Started) => control.events.map(({ type }) => type);
const last = ({ control }: Started) => control.events.at(-1);
const type = ({ control }: Started, inputSeq: number, data: string): void => {
  const epoch = control.sessions[0]?.epoch ?? 0;
  const frame = { sessionId: SESSION_ID, epoch, viewerId: VIEWER, source: 'viewer', controlTerm: 1 } as const;
  control.post({ type: 'input', ...frame, inputSeq, data, submit: false });
};
const workspaceOf = ({ root }: Started): string => join(root, 'village/workspaces', SESSION_ID);

/** No checkpoint is made of a repository that lives on another one's objects. */
const borrowObjects = (started: Started): void => {
  const info = join(workspaceOf(started), '.git/objects/info');
  mkdirSync(info, { recursive: true });
  writeFileSync(join(info, 'alternates'), '/nowhere\n');
};

const gitWork = [
  'git config user.email a@example.com; git config user.name Agent',
  'git checkout -q -b work; echo one > committed.txt; git add .; git commit -qm mine',
  'echo staged > staged.txt; git add staged.txt; echo disk > staged.txt',
  'rm README.md; mkdir -p deep/er; echo new > deep/er/file; ln -s er/file deep/link; echo done-$((40+2))',
].join('; ');

describe('a shell session that is drained in the middle of its work', () => {
  it('has the same files, stage, branch and commits in its next epoch, and ends as any other', async () => {
    const first = await start();
    await inState(first, 'running');
    first.control.setWatchers(led);
    type(first, 1, `${gitWork}\r`);
    await first.control.until('work', () => first.control.output().includes('done-42'));
    const workspace = workspaceOf(first);
    const before = {
      tree: [...treeOf(workspace)],
      status: git(workspace, 'status', '--porcelain'),
      log: git(workspace, 'log', '--format=%H', 'work'),
      index: git(workspace, 'ls-files', '--stage'),
    };
    first.drain();
    expect(await first.exited).toBe(0);
    expect(first.control.problems).toEqual([]);
    expect(types(first).slice(-2)[1]).toBe('epoch_drained');
    expect(types(first)).toEqual(
      expect.arrayContaining(['runner_draining', 'workspace_checkpointed', 'diff_summary', 'transcript_chunk_stored']),
    );
    const named = first.control.events.findLast((event) => event.type === 'workspace_checkpointed');
    expect(last(first)).toMatchObject({ type: 'epoch_drained', checkpointKey: named?.checkpointKey });
    const tick = first.control.events.findLast((event) => event.type === 'usage_tick');
    expect(tick).toMatchObject({ final: true });
    expect(types(first)).not.toContain('session_ended');
    expect(existsSync(workspace)).toBe(false);

    const second = await start({ after: { ...first, ranMs: 60_000 } });
    await inState(second, 'running');
    expect({
      tree: [...treeOf(workspace)],
      status: git(workspace, 'status', '--porcelain'),
      log: git(workspace, 'log', '--format=%H', 'work'),
      index: git(workspace, 'ls-files', '--stage'),
    }).toEqual(before);
    expect(second.control.events.find((event) => event.type === 'workspace_ready')).toMatchObject({
      branch: 'work',
      headCommit: before.log.split('\n')[0],
    });
    second.control.setWatchers(led);
    type(second, 1, 'cat deep/link; git log --oneline | wc -l; echo again-$((1+1))\r');
    await second.control.until('the shell', () => second.control.output().includes('again-2'));
    expect(second.control.output()).toMatch(/new\r?\n2\r?\n/);
    second.control.ask('stop');
    expect(await second.exited).toBe(0);
    expect(second.control.problems).toEqual([]);
    expect(last(second)).toMatchObject({ type: 'session_ended', state: 'completed' });
    expect(Number(last(second)?.durationMs)).toBeGreaterThanOrEqual(60_000);
    const diff = second.control.events.findLast((event) => event.type === 'diff_summary');
    expect(JSON.stringify(diff?.files)).toContain('committed.txt');
  });

  it('goes on over any number of epochs, and keeps its base', async () => {
    let runner = await start();
    for (let round = 1; round <= 3; round++) {
      await inState(runner, 'running');
      runner.control.setWatchers(led);
      type(runner, 1, `echo ${round} >> rounds.txt; echo round-$((${round}*11))\r`);
      await runner.control.until('round', () => runner.control.output().includes(`round-${round * 11}`));
      runner.drain();
      expect(await runner.exited).toBe(0);
      expect(last(runner)?.type).toBe('epoch_drained');
      runner = await start({ after: runner });
    }
    await inState(runner, 'running');
    expect(readFileSync(join(workspaceOf(runner), 'rounds.txt'), 'utf8')).toBe('1\n2\n3\n');
    expect(runner.control.sessions[0]?.epoch).toBe(4);
  });

  it('ends as asked when a stop came before the drain', async () => {
    const runner = await start();
    await inState(runner, 'running');
    runner.control.ask('stop');
    await inState(runner, 'stopping');
    runner.drain();
    expect(await runner.exited).toBe(0);
    expect(last(runner)).toMatchObject({ type: 'session_ended', state: 'completed', reason: { code: 'stopped' } });
  });

  it('names what it started from when it is drained before it has begun', async () => {
    const first = await start();
    await inState(first, 'preparing_workspace');
    first.drain();
    expect(await first.exited).toBe(0);
    expect(last(first)).toMatchObject({ type: 'epoch_drained', checkpointKey: null });
    expect(first.workspaces()).toEqual([]);

    const second = await start({ after: first });
    await inState(second, 'running');
    second.control.setWatchers(led);
    type(second, 1, 'echo kept > kept.txt; echo ok-$((1+1))\r');
    await second.control.until('work', () => second.control.output().includes('ok-2'));
    second.drain();
    await second.exited;
    const third = await start({ after: second });
    await inState(third, 'preparing_workspace');
    third.drain();
    expect(await third.exited).toBe(0);
    expect(last(third)).toMatchObject({ type: 'epoch_drained', checkpointKey: last(second)?.checkpointKey });
  });

  it('says so when no checkpoint can be stored, and names the last one', async () => {
    const first = await start();
    await inState(first, 'running');
    borrowObjects(first);
    first.drain();
    expect(await first.exited).toBe(0);
    expect(first.control.events.find((event) => event.type === 'alert_raised')).toMatchObject({
      code: 'checkpoint_failed',
    });
    expect(last(first)).toMatchObject({ type: 'epoch_drained', checkpointKey: null });
  });
});

describe('a session that waits for a person', () => {
  it('is parked with its checkpoint, and goes on when somebody comes', async () => {
    const first = await start({ config: { parkAfterMs: 1_000 } });
    await inState(first, 'running');
    first.control.setWatchers(led);
    type(first, 1, 'echo kept > kept.txt; (while :; do date +%N > ticking; done) & echo ok-$((1+1))\r');
    await first.control.until('work', () => first.control.output().includes('ok-2'));
    first.control.ask('pause');
    expect(await first.exited).toBe(0);
    expect(first.control.problems).toEqual([]);
    expect(last(first)).toMatchObject({ type: 'session_parked' });
    expect(types(first)).not.toContain('session_ended');
    const named = first.control.events.findLast((event) => event.type === 'workspace_checkpointed');
    expect(last(first)?.checkpointKey).toBe(named?.checkpointKey);

    const second = await start({ after: first, config: { parkAfterMs: 1_000 } });
    await inState(second, 'running');
    expect(readFileSync(join(workspaceOf(second), 'kept.txt'), 'utf8')).toBe('kept\n');
  });

  it('stays where it is while no checkpoint can be made', async () => {
    const first = await start({ config: { parkAfterMs: 1_000 } });
    await inState(first, 'running');
    borrowObjects(first);
    first.control.ask('pause');
    await seen(first, 'alert', (event) => event.type === 'alert_raised' && event.code === 'checkpoint_failed');
    first.control.ask('run');
    await seen(first, 'running again', (event) => event.fromState === 'paused_by_human' && event.toState === 'running');
    first.control.ask('stop');
    expect(await first.exited).toBe(0);
    expect(last(first)).toMatchObject({ type: 'session_ended' });
  });
});

describe('a start from a checkpoint', () => {
  it('waits for a storage that is away, and takes the place of what an earlier epoch left behind', async () => {
    const first = await start();
    await inState(first, 'running');
    writeFileSync(join(workspaceOf(first), 'kept.txt'), 'kept\n');
    first.drain();
    await first.exited;
    // As after a host that was lost: nobody cleaned up.
    mkdirSync(workspaceOf(first), { recursive: true });
    writeFileSync(join(workspaceOf(first), 'stale.txt'), 'stale\n');
    const second = await start({ after: { ...first, refuseGets: 1 } });
    await inState(second, 'running');
    expect(readFileSync(join(workspaceOf(second), 'kept.txt'), 'utf8')).toBe('kept\n');
    expect(existsSync(join(workspaceOf(second), 'stale.txt'))).toBe(false);
    expect(second.control.problems).toEqual([]);
  });

  it('gives the session back when it is drained while it waits', async () => {
    const first = await start();
    await inState(first, 'running');
    first.drain();
    await first.exited;
    const second = await start({ after: { ...first, refuseGets: 1_000 } });
    await inState(second, 'preparing_workspace');
    second.drain();
    expect(await second.exited).toBe(0);
    expect(last(second)).toMatchObject({ type: 'epoch_drained', checkpointKey: last(first)?.checkpointKey });
    expect(second.workspaces()).toEqual([]);
  });
});

describe('a checkpoint that is not what it should be', () => {
  const drained = async (): Promise<Started> => {
    const first = await start();
    await inState(first, 'running');
    first.drain();
    await first.exited;
    return first;
  };

  it.each([
    ['other bytes', (bytes: Buffer) => Buffer.concat([bytes.subarray(0, -1), Buffer.from([1])]), false],
    ['no archive', () => Buffer.from('not an archive'), true],
  ])('fails the start with a reason: %s', async (_what, change, isNamed) => {
    const first = await drained();
    const { control } = first;
    const key = String(last(first)?.checkpointKey);
    const bytes = change(control.objects.get(key) ?? Buffer.alloc(0));
    control.objects.set(key, bytes);
    const named = control.events.findLast((event) => event.type === 'workspace_checkpointed');
    if (isNamed && named) {
      named.sizeBytes = bytes.length;
      named.sha256 = createHash('sha256').update(bytes).digest('hex');
    }
    const second = await start({ after: first });
    expect(await second.exited).toBe(0);
    expect(last(second)).toMatchObject({
      type: 'session_ended',
      state: 'failed',
      reason: { code: 'checkpoint_unusable', hint: expect.any(String) },
    });
    expect(second.workspaces()).toEqual([]);
  });
});
