import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import type { WatcherList } from '../../shared/frames.ts';
import { TranscriptChunk } from '../../shared/http.ts';
import { TranscriptReplay } from '../../shared/viewer/transcript-replay.ts';
import { type RunnerSetup, SESSION_ID, startRunner } from './runner-fixture.ts';

type Started = Awaited<ReturnType<typeof startRunner>>;
let runner: Started | null = null;
let cleanUp: () => Promise<void> = async () => {};
afterEach(async (context) => {
  if (context.task.result?.state === 'fail') console.log(runner?.log());
  await runner?.stop();
  await cleanUp();
  cleanUp = async () => {};
  runner = null;
});

const VIEWER = 'viewer-1';
const led: WatcherList = {
  rev: 1,
  viewers: [{ viewerId: VIEWER, mode: 'control' }],
  controllerId: VIEWER,
  controlTerm: 1,
};

const start = async (setup?: RunnerSetup): Promise<Started> => {
  runner = await startRunner(setup);
  return runner;
};
const stateSeen = ({ control }: Started, state: string) =>
  control.until(state, () =>
    control.events.find((event) => event.type === 'session_state_changed' && event.toState === state),
  );
const typeLine = ({ control }: Started, inputSeq: number, data: string) =>
  control.post({
    type: 'input',
    sessionId: SESSION_ID,
    epoch: 1,
    viewerId: VIEWER,
    source: 'viewer',
    controlTerm: 1,
    inputSeq,
    data,
    submit: false,
  });
const types = ({ control }: Started) => control.events.map(({ type }) => type);

describe('a shell session on the real runner', () => {
  it('boots, echoes what is typed, stops, and leaves nothing behind', async () => {
    const started = await start();
    const { control } = started;
    await stateSeen(started, 'running');
    control.setWatchers(led);
    typeLine(started, 1, 'echo "$((40+2)) answers" > made.txt; cat made.txt\r');
    await control.until('echo', () => control.output().includes('42 answers'));
    await control.until('file', () => control.events.find(({ type }) => type === 'file_touched'));
    control.ask('stop');
    expect(await started.exited).toBe(0);

    expect(control.problems).toEqual([]);
    expect(control.events.map(({ rseq }) => rseq)).toEqual(control.events.map((_, index) => index + 1));
    const seen = types(started);
    expect(seen.slice(-2)).toEqual(['session_state_changed', 'session_ended']);
    expect(control.events.at(-1)).toMatchObject({ state: 'completed', reason: { code: 'stopped' } });
    const order = ['diff_summary', 'transcript_chunk_stored', 'workspace_cleaned', 'session_ended'];
    expect(order.map((type) => seen.lastIndexOf(type as never))).toEqual(
      order.map((type) => seen.lastIndexOf(type as never)).toSorted((one, other) => one - other),
    );
    expect(seen).toEqual(expect.arrayContaining(order));
    const ticks = control.events.filter(({ type }) => type === 'usage_tick');
    expect(ticks.at(-1)).toMatchObject({ final: true, counters: { commands: 1, filesTouched: 1 } });

    const diff = control.events.findLast(({ type }) => type === 'diff_summary');
    expect(JSON.parse(String(control.objects.get(String(diff?.key))))).toMatchObject({
      files: [{ path: 'made.txt', status: 'added', added: 1 }],
      linesAdded: 1,
    });
    const chunk = control.events.findLast(({ type }) => type === 'transcript_chunk_stored');
    const body = control.objects.get(String(chunk?.key));
    expect(body && gunzipSync(body).toString()).toContain('42 answers');

    expect(started.processesWith(started.root)).toEqual([]);
    expect(started.workspaces()).toEqual([]);
    expect(existsSync(join(started.root, 'state'))).toBe(false);
  });

  it('stops within a tick when the frame that asks for it is lost', async () => {
    const started = await start();
    const { control } = started;
    await stateSeen(started, 'running');
    control.ask('stop', false);
    expect(await started.exited).toBe(0);
    expect(control.dials).toHaveLength(1);
    expect(control.events.at(-1)).toMatchObject({ type: 'session_ended', reason: { code: 'stopped' } });
  });

  it('shows the password of its repository in no event', async () => {
    const password = 'hunter22-pass';
    const started = await start({ credentials: { repository: { token: 'hunter22%2Dpass', username: 'me' } } });
    const { control } = started;
    await stateSeen(started, 'running');
    control.setWatchers(led);
    typeLine(started, 1, `echo ${password} >> notes.txt; echo done\r`);
    const ran = await control.until('command', () => control.events.find(({ type }) => type === 'command_executed'));
    expect(ran).toMatchObject({ command: `echo ${'*'.repeat(password.length)} >> notes.txt; echo done` });
    control.ask('stop');
    expect(await started.exited).toBe(0);
    expect(control.problems).toEqual([]);
    expect(JSON.stringify(control.events)).not.toMatch(/hunter22/);
    expect(control.output()).not.toContain(password);
    expect(control.events.filter(({ type, where }) => type === 'secret_redacted' && where === 'event')).toHaveLength(1);
  });

  it('loses no event and no byte when lines are cut and acks are lost', async () => {
    const started = await start({ env: { METRICS_ENABLED: 'true' } });
    const { control } = started;
    await stateSeen(started, 'running');
    control.setWatchers(led);
    for (let round = 1; round <= 3; round++) {
      control.swallowAcks(1);
      typeLine(started, round, `echo round-$((${round}*11))\r`);
      await control.until(`round ${round}`, () => control.output().includes(`round-${round * 11}`));
      control.cut();
      await control.until('next dial', () => control.dials.length > round || undefined);
      // What was sent into the cut line is asked for again, as the page does when the head is above its end.
      control.attach(VIEWER);
    }
    control.ask('stop');
    expect(await started.exited).toBe(0);
    expect(control.problems).toEqual([]);
    expect(control.dials).toEqual([1, 2, 3, 4]);
    const metrics = started
      .log()
      .split('\n')
      .findLast((line) => line.includes('"message":"metrics"'));
    expect(JSON.parse(metrics ?? '{}')).toMatchObject({
      level: 'info',
      metrics: { RunnerBatchesAcked: expect.any(Number) },
    });
    expect(control.events.map(({ rseq }) => rseq)).toEqual(control.events.map((_, index) => index + 1));
    expect(types(started).at(-1)).toBe('session_ended');
  });

  it('goes on after a crash of the runner process, with the same shell', async () => {
    const started = await start();
    const { control } = started;
    await stateSeen(started, 'running');
    control.setWatchers(led);
    typeLine(started, 1, 'VALUE=kept; echo set-$VALUE\r');
    await control.until('set', () => control.output().includes('set-kept'));
    process.kill(started.runnerPid(), 'SIGKILL');
    await control.until('the second runner', () => new Set(control.dials).size > 1);
    // The last bytes before the crash may have been spooled and not sent.
    control.attach(VIEWER);
    // What was delivered before the crash is forgotten: the page is told, and the person types again.
    let inputSeq = 2;
    let resets = 0;
    const seesKept = () => control.output().includes('still-kept');
    while (!seesKept()) {
      typeLine(started, inputSeq, 'echo still-$VALUE\r');
      const found = await control.until('an echo or a reset', () => {
        const all = control.frames.filter((frame) => frame.type === 'input_reset');
        return seesKept() ? 'echo' : all.length > resets && all;
      });
      if (found === 'echo') break;
      resets = found.length;
      inputSeq = Math.max(...found.map(({ expected }) => expected));
    }
    control.ask('stop');
    expect(await started.exited).toBe(0);
    expect(control.problems).toEqual([]);
    expect(control.events.map(({ rseq }) => rseq)).toEqual(control.events.map((_, index) => index + 1));
    expect(started.workspaces()).toEqual([]);
  });

  it('stores again what was cut from the transcript and not stored when the runner process crashed', async () => {
    const started = await start();
    const { control } = started;
    await stateSeen(started, 'running');
    control.setWatchers(led);
    typeLine(started, 1, 'echo stored-$((1+1)); seq -f "first %.0f" 12000; echo all-$((2+2))\r');
    await control.until('a stored chunk', () => control.events.find(({ type }) => type === 'transcript_chunk_stored'));
    control.refusePuts(true);
    await control.until('the first output', () =>
      control.frames.some((frame) => JSON.stringify(frame).includes('all-4')),
    );
    typeLine(started, 2, 'echo; seq -f "second %.0f" 12000; echo all-$((3+3))\r');
    await control.until('a chunk that is not stored', () =>
      control.refusedPuts.some((path) => path.includes('transcript')),
    );
    const refused = [...control.refusedPuts];
    process.kill(started.runnerPid(), 'SIGKILL');
    await control.until('the second runner', () => new Set(control.dials).size > 1);
    control.refusePuts(false);
    control.ask('stop');
    expect(await started.exited).toBe(0);
    expect(control.problems).toEqual([]);
    expect(types(started)).not.toContain('stream_gap');

    const chunks = control.events
      .filter((event) => event.type === 'transcript_chunk_stored')
      .map(({ key }) =>
        TranscriptChunk.parse(JSON.parse(gunzipSync(control.objects.get(String(key)) ?? '').toString())),
      );
    const replay = new TranscriptReplay();
    const written = chunks
      .toSorted((one, other) => one.firstOffset - other.firstOffset)
      .flatMap((chunk) => replay.next(chunk))
      .flatMap((action) => (action.kind === 'write' ? [action.data] : []))
      .join('');
    expect(written).not.toContain('were not stored');
    expect(replay.at?.offset).toBe(control.events.at(-1)?.offset);
    const lines = written.split(/\r?\n/);
    for (const name of ['first', 'second'])
      expect(lines.filter((line) => line.startsWith(`${name} `))).toEqual(
        Array.from({ length: 12_000 }, (_, index) => `${name} ${index + 1}`),
      );
    // No number was used for other bytes.
    expect(refused.filter((path) => path.includes('transcript')).every((path) => !control.objects.has(path))).toBe(
      true,
    );
  });

  it('pauses and resumes all its processes', async () => {
    const started = await start();
    const { control } = started;
    await stateSeen(started, 'running');
    control.ask('pause');
    await stateSeen(started, 'paused_by_human');
    control.setWatchers(led);
    typeLine(started, 1, 'x');
    await control.until('refusal', () => control.frames.find((frame) => frame.type === 'input_reset'));
    control.ask('run');
    await control.until('running again', () =>
      control.events.find((event) => event.fromState === 'paused_by_human' && event.toState === 'running'),
    );
    control.ask('stop');
    expect(await started.exited).toBe(0);
    expect(control.problems).toEqual([]);
  });

  it('completes when the shell exits', async () => {
    const started = await start();
    const { control } = started;
    await stateSeen(started, 'running');
    control.setWatchers(led);
    typeLine(started, 1, 'exit 3\r');
    expect(await started.exited).toBe(0);
    expect(control.events.at(-1)).toMatchObject({ state: 'completed', reason: { code: 'exited' } });
    expect(control.problems).toEqual([]);
  });

  it('completes by itself when its prompt is done and nobody leads', async () => {
    const started = await start({
      config: { endWhenDone: true },
      credentials: { inputs: { prompt: 'echo done > out' } },
    });
    const { control } = started;
    expect(await started.exited).toBe(0);
    expect(control.events.at(-1)).toMatchObject({ state: 'completed', reason: { code: 'done' } });
    expect(control.problems).toEqual([]);
  });

  it('fails with a reason and a hint for a repository that is not there', async () => {
    const started = await start({ config: { repository: { url: '/nonexistent/repository' } } });
    const { control } = started;
    expect(await started.exited).toBe(0);
    expect(control.events.at(-1)).toMatchObject({
      state: 'failed',
      reason: { code: 'repository_not_found', step: 'preparing_workspace', hint: expect.any(String) },
    });
    expect(control.problems).toEqual([]);
    expect(started.workspaces()).toEqual([]);
  });

  it('fails when the build has no such CLI', async () => {
    const started = await start({ config: { provider: 'claude_code' } });
    expect(await started.exited).toBe(0);
    expect(started.control.events.at(-1)).toMatchObject({ state: 'failed', reason: { code: 'cli_missing' } });
    expect(started.control.problems).toEqual([]);
  });

  it('is given back in order when the host is told to stop', async () => {
    const started = await start();
    await stateSeen(started, 'running');
    started.host.kill('SIGTERM');
    expect(await started.exited).toBe(0);
    const { control } = started;
    expect(control.events.at(-1)).toMatchObject({ type: 'epoch_drained', checkpointKey: expect.any(String) });
    expect(types(started)).toContain('runner_draining');
    expect(control.problems).toEqual([]);
    expect(started.processesWith(started.root)).toEqual([]);
  });

  it('is given back after a crash of its runner as before one: its prompt is not typed twice in the next epoch', async () => {
    const credentials = { inputs: { prompt: 'echo asked >> asked.txt; echo done-$((40+2))' } };
    const first = await start({ credentials });
    cleanUp = () => first.stop();
    first.control.setWatchers(led);
    await first.control.until('the command', () =>
      first.control.events.find(({ type }) => type === 'command_executed'),
    );
    process.kill(first.runnerPid(), 'SIGKILL');
    await first.control.until('the second runner', () => new Set(first.control.dials).size > 1);
    first.host.kill('SIGTERM');
    expect(await first.exited).toBe(0);
    expect(first.control.problems).toEqual([]);
    expect(first.control.events.at(-1)).toMatchObject({ type: 'epoch_drained', checkpointKey: expect.any(String) });

    const second = await start({ credentials, after: first });
    await stateSeen(second, 'running');
    second.control.setWatchers(led);
    second.control.post({
      ...{ type: 'input', sessionId: SESSION_ID, epoch: 2, viewerId: VIEWER, source: 'viewer', controlTerm: 1 },
      ...{ inputSeq: 1, data: 'echo lines-$(wc -l < asked.txt)\r', submit: false },
    });
    await second.control.until('the count', () => second.control.output().includes('lines-1'));
    second.control.ask('stop');
    expect(await second.exited).toBe(0);
    expect(second.control.problems).toEqual([]);
  });
});
