import { expect, test } from 'vitest';
import { headKey, metaKey } from '../../../../functions/sessions/session-store.ts';
import { setDesired } from '../../../../functions/sessions/set-desired.ts';
import { checkpointObjectKey, diffObjectKey } from '../../../../functions/streams/chunks.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { ZERO_USAGE } from '../../../../shared/usage.ts';
import { batchOf, controlPlanePorts, startedSession } from '../../../fakes/control-plane-ports.ts';

const DAY_MS = 24 * 60 * 60_000;
const tick = (agentMs: number): EventDraft => ({
  ...{ type: 'usage_tick', counters: { ...ZERO_USAGE, agentMs }, final: false },
  ...{ cliVersion: 'system', runnerBuild: 'r1', taskDefinition: 'td:1' },
});

const setUp = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  await ports.db.write({
    ...{ kind: 'update', table: 'sessions', key: headKey(ref), set: { assignedAtMs: ports.clock.nowMs() } },
  });
  await ports.clock.advance(60_000);
  const transact = ports.db.transact.bind(ports.db);
  const written: string[] = [];
  ports.db.transact = (writes) => {
    for (const write of writes) written.push(write.kind === 'put' ? write.item.sk : write.key.sk);
    return transact(writes);
  };
  let next = 1;
  const ingest = async (...drafts: EventDraft[]) => {
    const answer = await ingestBatch(ports, ref, batchOf(ref, next, drafts));
    next += drafts.length;
    return answer;
  };
  const checkpoint = (number: number): EventDraft => ({
    ...{ type: 'workspace_checkpointed', sizeBytes: 5, sha256: 'a'.repeat(64) },
    checkpointKey: checkpointObjectKey(ref, 1, number),
  });
  return { ports, ref, written, ingest, checkpoint };
};

test('a tick and a checkpoint leave META alone, and are read all the same', async () => {
  const { ports, ref, written, ingest, checkpoint } = await setUp();
  await ingest(tick(1_000));
  await ingest(checkpoint(1));
  await ingest(checkpoint(2));
  expect(written).not.toContain('META');
  expect(await ports.sessions.meta(ref)).toMatchObject({
    ...{ seq: 4, offset: 30, usage: { agentMs: 1_000 } },
    checkpoint: { key: checkpointObjectKey(ref, 1, 2) },
    previousCheckpointKey: checkpointObjectKey(ref, 1, 1),
    lastEventAt: new Date(ports.clock.nowMs()).toISOString(),
  });
});

test('every later write of META takes along what the head kept', async () => {
  const { ports, ref, ingest, checkpoint } = await setUp();
  await ingest(tick(1_000), checkpoint(1));
  const wanted = { usage: { agentMs: 1_000 }, checkpoint: { key: checkpointObjectKey(ref, 1, 1) } };
  expect(await setDesired(ports, ref, 'pause', 'ada')).toMatchObject({ ...wanted, seq: 4 });
  const key = diffObjectKey(ref, 1, 3);
  await ingest({
    type: 'diff_summary',
    files: [],
    fileCount: 0,
    linesAdded: 0,
    linesRemoved: 0,
    truncated: false,
    key,
  });
  expect(await ports.sessions.meta(ref)).toMatchObject({ ...wanted, seq: 5, diffKey: key });
});

test('what a commit writes stays under a KiB, however long the session has run', async () => {
  const { ports, ref, ingest, checkpoint } = await setUp();
  const arn = `arn:aws:ecs:us-east-1:123456789012:task/village/${'f'.repeat(32)}`;
  await ports.db.write({
    ...{ kind: 'update', table: 'sessions', key: metaKey(ref) },
    set: { taskArn: arn, placement: { kind: 'task', taskArn: arn } },
  });
  for (let number = 1; number < 12; number += 1) await ingest(tick(number * 1_000), checkpoint(900_000 + number));
  const key = diffObjectKey(ref, 1, 999_999);
  await ingest({
    type: 'diff_summary',
    files: [],
    fileCount: 0,
    linesAdded: 0,
    linesRemoved: 0,
    truncated: false,
    key,
  });
  for (const item of [metaKey(ref), headKey(ref)])
    expect(JSON.stringify(await ports.db.get('sessions', item)).length, item.sk).toBeLessThan(1_200);
});

test('the days of the ledger have the first tick of each day and epoch, and the last row', async () => {
  const { ports, ingest } = await setUp();
  await ingest(tick(1_000));
  await ingest(tick(2_000));
  await ports.clock.advance(DAY_MS);
  await ingest(tick(3_000));
  await ingest({ ...tick(4_000), final: true } as EventDraft);
  const indexed = ports.db.all('usage').filter(({ dayKey }) => dayKey !== undefined);
  expect(indexed.map(({ agentMs }) => agentMs)).toEqual([1_000, 3_000, 4_000]);
});
