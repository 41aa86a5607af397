import { describe, expect, test } from 'vitest';
import { handleRunnerFrame } from '../../../../functions/runners/handle-runner-frame.ts';
import type { SessionRef } from '../../../../functions/sessions/session-store.ts';
import { takeCheckpoints } from '../../../../functions/streams/checkpoints.ts';
import { checkpointObjectKey } from '../../../../functions/streams/chunks.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { RunnerFrame } from '../../../../shared/frames.ts';
import { CHECKPOINT_MAX_BYTES, CHECKPOINT_NUMBER_MAX } from '../../../../shared/limits.ts';
import { batchOf, controlPlanePorts, startedSession, type TestPorts } from '../../../fakes/control-plane-ports.ts';

const SHA = 'a'.repeat(64);
const NOW = 5;
const ref: SessionRef = { tenantId: 'acme', sessionId: 'ses_00000000000000000000000001' };
const named = (epoch: number, number: number, over: Record<string, unknown> = {}) => ({
  checkpointKey: checkpointObjectKey(ref, epoch, number),
  sizeBytes: 10,
  sha256: SHA,
  ...over,
});
const stored = (epoch: number, number: number) => ({
  key: checkpointObjectKey(ref, epoch, number),
  sizeBytes: 10,
  sha256: SHA,
  epoch,
  atMs: 1,
});

describe('the newest checkpoint', () => {
  const meta = { checkpoint: stored(1, 7), previousCheckpointKey: checkpointObjectKey(ref, 1, 6) };

  test('wins, the one before it is kept, the one before that is to be deleted', () => {
    expect(takeCheckpoints(ref, meta, 1, [named(1, 8)], NOW)).toEqual({
      meta: { checkpoint: { ...stored(1, 8), atMs: NOW }, previousCheckpointKey: checkpointObjectKey(ref, 1, 7) },
      obsoleteKeys: [checkpointObjectKey(ref, 1, 6)],
    });
  });

  test('of a later epoch wins over any of an earlier one; of two in a batch the last', () => {
    expect(takeCheckpoints(ref, meta, 2, [named(2, 0), named(2, 1)], NOW)).toEqual({
      meta: { checkpoint: { ...stored(2, 1), atMs: NOW }, previousCheckpointKey: checkpointObjectKey(ref, 2, 0) },
      obsoleteKeys: [checkpointObjectKey(ref, 1, 6), checkpointObjectKey(ref, 1, 7)],
    });
  });

  test.each([
    ['an older one', 1, named(1, 7)],
    ['of another epoch', 2, named(1, 9)],
    [
      'of another session',
      1,
      named(1, 9, { checkpointKey: checkpointObjectKey({ ...ref, sessionId: 'ses_x' }, 1, 9) }),
    ],
    ['another object of the session', 1, named(1, 9, { checkpointKey: 'tenants/acme/sessions/x/inputs.json' })],
    ['a key that leads elsewhere', 1, named(1, 9, { checkpointKey: `${checkpointObjectKey(ref, 1, 9)}/../x` })],
    ['too large', 1, named(1, 9, { sizeBytes: CHECKPOINT_MAX_BYTES + 1 })],
    ['empty', 1, named(1, 9, { sizeBytes: 0 })],
    ['without a digest', 1, named(1, 9, { sha256: 'x' })],
  ])('%s changes nothing', (_name, epoch, one) => {
    expect(takeCheckpoints(ref, meta, epoch, [one], NOW)).toEqual({ meta: {}, obsoleteKeys: [] });
  });
});

describe('a runner that checkpoints', () => {
  const setUp = async () => {
    const ports = controlPlanePorts();
    const session = await startedSession(ports);
    const capability = await ports.signer.sign({ kind: 'capability', ...session, epoch: 1, expSec: 9e9 });
    const send = (firstRseq: number, drafts: readonly EventDraft[], uploads: unknown[] = []) =>
      handleRunnerFrame(
        ports,
        { ...session, epoch: 1, connectionId: 'c1' },
        RunnerFrame.parse({ type: 'runner_events', capability, ...batchOf(session, firstRseq, drafts), uploads }),
      );
    return { ports, session, send };
  };
  const checkpointed = (session: SessionRef, number: number): EventDraft => ({
    type: 'workspace_checkpointed',
    checkpointKey: checkpointObjectKey(session, 1, number),
    sizeBytes: 10,
    sha256: SHA,
  });
  const wish = (over: Record<string, unknown>) => ({
    kind: 'checkpoint',
    number: 3,
    sizeBytes: 10,
    sha256Base64: 'A'.repeat(44),
    ...over,
  });
  const keysOf = async (_ports: TestPorts, answer: Awaited<ReturnType<typeof handleRunnerFrame>>) =>
    answer?.type === 'ack' ? answer.grants.map(({ key }) => key) : undefined;

  test('is granted its key, and nothing for one that is too large or beyond all numbers', async () => {
    const { ports, session, send } = await setUp();
    const uploads = [
      wish({}),
      wish({ number: 4, sizeBytes: CHECKPOINT_MAX_BYTES + 1 }),
      wish({ number: CHECKPOINT_NUMBER_MAX + 1 }),
    ];
    expect(await keysOf(ports, await send(1, [], uploads))).toEqual([checkpointObjectKey(session, 1, 3)]);
  });

  test('leaves two objects behind, whatever it stores', async () => {
    const { ports, session, send } = await setUp();
    for (const number of [1, 2, 3, 4]) await send(number, [checkpointed(session, number)]);
    expect(await ports.sessions.meta(session)).toMatchObject({
      checkpoint: { key: checkpointObjectKey(session, 1, 4), epoch: 1, sizeBytes: 10, sha256: SHA },
      previousCheckpointKey: checkpointObjectKey(session, 1, 3),
    });
    expect(await ports.sessions.head(session)).toMatchObject({ progressed: true });
    expect(ports.objects.deleted).toEqual([1, 2].map((number) => checkpointObjectKey(session, 1, number)));
  });

  test('gets its answer also while nothing can be deleted', async () => {
    const { ports, session, send } = await setUp();
    ports.objects.delete = async () => Promise.reject(new Error('S3 is away'));
    for (const number of [1, 2, 3])
      expect(await send(number, [checkpointed(session, number)])).toMatchObject({ type: 'ack', ackedRseq: number });
  });
});
