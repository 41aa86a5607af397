/** A runner that cannot go on from what is stored says so: its epoch is closed as lost, and the session goes on in the next one. */
import { describe, expect, test } from 'vitest';
import { handleRunnerFrame, type RunnerConnection } from '../../../../functions/runners/handle-runner-frame.ts';
import { continueSession } from '../../../../functions/sessions/continue-session.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { readEvents } from '../../../../functions/streams/segments.ts';
import { RunnerFrame } from '../../../../shared/frames.ts';
import { batchOf, controlPlanePorts, startedSession } from '../../../fakes/control-plane-ports.ts';

const message = { type: 'provider_message', role: 'assistant', text: 'x' } as const;
const setUp = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  const who: RunnerConnection = { ...ref, epoch: 1, connectionId: 'runner' };
  const hello = (session: Record<string, unknown>, from = who) =>
    handleRunnerFrame(
      ports,
      from,
      RunnerFrame.parse({
        ...{ type: 'hello', runnerId: 'runner-1', runnerVersion: '0.1.0', buildId: 'build-1', protocol: 1, dial: 2 },
        ...{ clis: { shell: '5.2' }, isolation: 'shared_uid' },
        sessions: [
          { sessionId: ref.sessionId, epoch: 1, nextRseq: 1, head: 0, desiredRev: 0, viewersRev: 0, ...session },
        ],
      }),
    );
  await ingestBatch(ports, ref, batchOf(ref, 1, [message, message, message]));
  return { ports, ref, who, hello };
};

describe('hello of a runner whose journal was lost', () => {
  test('closes the epoch as lost, and the session goes on in the next one', async () => {
    const { ports, ref, hello } = await setUp();
    for (let times = 0; times < 2; times += 1)
      expect(await hello({ journalLost: true })).toMatchObject({
        type: 'welcome',
        sessions: [{ epoch: 1, ackedRseq: 3, open: false }],
      });
    const log = await readEvents(ports.db, ref, 1, 99);
    expect(log.map(({ type }) => type).filter((type) => type === 'runner_lost')).toHaveLength(1);
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: true, reason: { code: 'journal_lost' } });
    ports.clock.advance(60_000);
    expect(await continueSession(ports, ref)).toBe('raised');
    expect(await ports.sessions.head(ref)).toMatchObject({ epoch: 2, open: true, ackedRseq: 0 });
    // What the old one numbers from 1 again is told from what is stored, and nothing of it enters the log.
    expect(await ingestBatch(ports, ref, batchOf(ref, 1, [message]))).toMatchObject({ reason: 'other_digest' });
  });

  test('an older number alone closes nothing: batches may have overtaken the hello', async () => {
    const { ports, ref, hello } = await setUp();
    expect(await hello({ nextRseq: 2 })).toMatchObject({ sessions: [{ ackedRseq: 3, open: true }] });
    expect((await ports.sessions.head(ref))?.open).toBe(true);
  });

  test('a runner speaks for its own epoch only', async () => {
    const { ports, ref, hello, who } = await setUp();
    await hello({ journalLost: true });
    ports.clock.advance(60_000);
    await continueSession(ports, ref);
    await hello({ journalLost: true });
    await hello({ journalLost: true, epoch: 2 }, who);
    expect(await ports.sessions.head(ref)).toMatchObject({ epoch: 2, open: true });
  });
});
