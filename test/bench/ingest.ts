/**
 * Batches committed by the real ingest on the embedded DynamoDB, with duplicates and late repeats among them, against bare SDK
 * transactions that put items of the same sizes; then the totals are counted, and the paper model of ticks over cells.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, TransactWriteCommand } from '@aws-sdk/lib-dynamodb';
import { dynamoDatabase } from '../../functions/aws/dynamo-database.ts';
import { type Database, queryAll, type TableName, type Write } from '../../functions/database.ts';
import { headKey, metaKey, type SessionRef, sessionPk, sessionStore } from '../../functions/sessions/session-store.ts';
import { type Batch, ingestBatch } from '../../functions/streams/ingest-batch.ts';
import { readEvents } from '../../functions/streams/segments.ts';
import { TABLES } from '../../infra/topology.ts';
import { startDynamodb } from '../../local/dynamodb/dynoxide.ts';
import { ensureTables } from '../../local/dynamodb/ensure-tables.ts';
import { systemClock } from '../../shared/clock.ts';
import type { EventDraft } from '../../shared/events.ts';
import { ZERO_USAGE } from '../../shared/usage.ts';
import { batchOf, controlPlanePorts, seededRandom, startedSession } from '../fakes/control-plane-ports.ts';
import { summarise } from './harness.ts';

const SESSIONS = 16;
const DUPLICATE_SHARE = 0.1;
/** Of the duplicates, those that come back long after others of their session were committed. */
const LATE_SHARE = 0.5;
const ROUNDS = 3;
const TICK_MS = 30_000;
/** Largest number of events that one read returns. */
const READ_PAGE = 1_000;
const CREDENTIALS = { accessKeyId: 'bench', secretAccessKey: 'bench' };
/** 10⁵ sessions, a tick each 30 s; a cell holds 5,000. */
const MODEL = { sessions: 100_000, sessionsPerCell: 5_000, partitionWritesPerSecond: 1_000 };

const physical = Object.fromEntries(TABLES.map(({ name }) => [name, `bench-${name}`])) as Record<TableName, string>;

/** What a working session sends between two ticks, and the tick. */
const draftsOf = (number: number): EventDraft[] => [
  {
    type: 'provider_message',
    role: 'assistant',
    text: `Step ${number}: the tests pass, the next file is changed now.`,
  },
  { type: 'tool_requested', toolUseId: `tool-${number}`, toolName: 'Bash', summary: 'npm test -- --run' },
  { type: 'tool_finished', toolUseId: `tool-${number}`, toolName: 'Bash', ok: true, tookMs: 812 },
  { type: 'file_touched', files: [{ path: `src/part-${number}.ts`, kind: 'modified' }], more: 0 },
  {
    type: 'usage_tick',
    counters: { ...ZERO_USAGE, agentMs: number, terminalBytes: number * 100, commands: number },
    final: false,
    cliVersion: '2.1.330',
    runnerBuild: '0.1.0',
    taskDefinition: 'arn:aws:ecs:us-east-1:000000000000:task-definition/village-runner:7',
  },
];
const EVENTS_PER_BATCH = draftsOf(1).length;

/** A started and assigned session, as the use-cases wrote it, moved to the real table. */
const addSession = async (db: Database, number: number): Promise<SessionRef> => {
  const ports = controlPlanePorts();
  for (let skipped = 0; skipped < number * 10; skipped += 1) ports.newId();
  const ref = await startedSession(ports);
  for (const [key, extra] of [
    [{ pk: sessionPk(ref), sk: 'CARD' }, {}],
    [metaKey(ref), {}],
    [headKey(ref), { assignedAtMs: systemClock.nowMs() - 8 * 60 * 60_000 }],
  ] as const) {
    const item = await ports.db.get('sessions', key);
    await db.write({ kind: 'put', table: 'sessions', item: { ...item, ...key, ...extra } });
  }
  return ref;
};

interface Session {
  readonly ref: SessionRef;
  readonly batches: readonly Batch[];
}

/** One session's batches in order, some of them twice, some of those late. Returns what each call took. */
const feed = async (ports: Parameters<typeof ingestBatch>[0], { ref, batches }: Session, seed: number) => {
  const random = seededRandom(seed);
  const tookMs: number[] = [];
  const late: Batch[] = [];
  let repeats = 0;
  const send = async (batch: Batch): Promise<void> => {
    const startedMs = performance.now();
    const result = await ingestBatch(ports, ref, batch);
    if (result?.kind !== 'ack') throw new Error(`refused: ${JSON.stringify(result)}`);
    tookMs.push(performance.now() - startedMs);
  };
  for (const batch of batches) {
    const wasLate = late.length > 0 && random.next() < 0.5 ? late.shift() : undefined;
    const isRepeated = random.next() < DUPLICATE_SHARE;
    const again = isRepeated && random.next() >= LATE_SHARE;
    if (isRepeated && !again) late.push(batch);
    repeats += (again ? 1 : 0) + (wasLate === undefined ? 0 : 1);
    // Together, as two Lambdas that were given the same frame would be.
    await Promise.all([
      send(batch),
      ...(again ? [send(batch)] : []),
      ...(wasLate === undefined ? [] : [send(wasLate)]),
    ]);
  }
  return { tookMs, repeats };
};

/** Puts of the same number and sizes as one commit writes; keys of their own, no condition, no read before. */
const bareTransaction = (documents: DynamoDBDocumentClient, sizes: readonly Size[], id: string) =>
  documents.send(
    new TransactWriteCommand({
      TransactItems: sizes.map(({ table, bytes }, index) => ({
        Put: {
          TableName: physical[table],
          Item: { pk: `BARE#${id}`, sk: String(index), filler: 'x'.repeat(bytes) },
        },
      })),
    }),
  );

interface Size {
  readonly table: TableName;
  readonly bytes: number;
}

/** Sizes of the items that one commit leaves: what an update writes is the whole item. */
const sizesOf = async (db: Database, writes: readonly Write[]): Promise<Size[]> =>
  Promise.all(
    writes.map(async (write) => {
      const key = write.kind === 'put' ? { pk: write.item.pk, sk: write.item.sk } : write.key;
      return { table: write.table, bytes: JSON.stringify(await db.get(write.table, key)).length };
    }),
  );

const perSecond = (count: number, ms: number): number => Math.round((count * 1_000) / ms);

/** Everything that was sent is there once, and the last tick of each session is what its ledger says. */
const countErrors = async (db: Database, sessions: readonly Session[]): Promise<number> => {
  let errors = 0;
  for (const { ref, batches } of sessions) {
    const wanted = batches.flatMap(({ events }) => events);
    const found = [];
    for (let seq = 2; ; seq += READ_PAGE) {
      const page = await readEvents(db, ref, seq, READ_PAGE);
      found.push(...page);
      if (page.length < READ_PAGE) break;
    }
    errors += Math.abs(found.length - wanted.length);
    found.forEach((event, index) => {
      if (event.rseq !== index + 1 || event.seq !== index + 2) errors += 1;
    });
    const rows = await queryAll(db, { table: 'usage', partition: sessionPk(ref), sort: { beginsWith: 'E' } }, 10_000);
    errors += Math.abs(rows.length - batches.length);
    const most = Math.max(...rows.map((row) => Number(row.agentMs)));
    if (most !== batches.length) errors += 1;
  }
  return errors;
};

const model = (sizes: readonly Size[]) => {
  const ticksPerSecond = Math.round((MODEL.sessions * 1_000) / TICK_MS);
  const cells = Math.ceil(MODEL.sessions / MODEL.sessionsPerCell);
  // A transaction costs twice the units of its items, each begun KiB one.
  const unitsPerTick = 2 * sizes.reduce((sum, { bytes }) => sum + Math.ceil(bytes / 1_024), 0);
  return {
    ticksPerSecond,
    cells,
    ticksPerSecondPerCell: Math.round((ticksPerSecond / cells) * 10) / 10,
    writeUnitsPerTick: unitsPerTick,
    writeUnitsPerSecondPerCell: Math.round((ticksPerSecond / cells) * unitsPerTick),
    hottestPartitionWriteUnitsPerSecond: Math.round((unitsPerTick * 1_000) / TICK_MS),
    partitionLimit: MODEL.partitionWritesPerSecond,
  };
};

export const ingest = async (batchesPerSession: number) => {
  const dir = mkdtempSync(path.join(tmpdir(), 'village-bench-ingest-'));
  const started = await startDynamodb({ dir });
  if (!started.ok) throw new Error(started.message);
  const { endpoint } = started.dynamodb;
  const client = new DynamoDBClient({ endpoint, region: 'us-east-1', credentials: CREDENTIALS });
  try {
    await ensureTables(
      client,
      TABLES.map((table) => ({ ...table, name: physical[table.name] })),
    );
    const documents = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
    const plain = dynamoDatabase({ client, tableNames: physical, clock: systemClock, random: seededRandom(7) });
    let lastCommit: readonly Write[] = [];
    const db: Database = {
      ...plain,
      transact: (writes) => {
        lastCommit = writes.filter((write): write is Write => write.kind !== 'check');
        return plain.transact(writes);
      },
    };
    const ports = { db, sessions: sessionStore(db, systemClock), clock: systemClock };
    const sessions: Session[] = [];
    const addRound = async (): Promise<readonly Session[]> => {
      const fresh: Session[] = [];
      for (let index = 0; index < SESSIONS; index += 1) {
        const ref = await addSession(plain, sessions.length + fresh.length + 1);
        const batches = Array.from({ length: batchesPerSession }, (_, number) =>
          batchOf(ref, number * EVENTS_PER_BATCH + 1, draftsOf(number + 1)),
        );
        fresh.push({ ref, batches });
      }
      sessions.push(...fresh);
      return fresh;
    };
    const ours: number[] = [];
    const bare: number[] = [];
    const callMs: number[] = [];
    let calls = 0;
    let repeats = 0;
    let sizes: Size[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const fresh = await addRound();
      const startedMs = performance.now();
      const fed = await Promise.all(fresh.map((session, index) => feed(ports, session, round * 100 + index + 1)));
      const handled = fed.reduce((sum, { tookMs }) => sum + tookMs.length, 0);
      ours.push(perSecond(handled, performance.now() - startedMs));
      calls += handled;
      repeats += fed.reduce((sum, each) => sum + each.repeats, 0);
      callMs.push(...fed.flatMap(({ tookMs }) => tookMs));
      sizes = await sizesOf(plain, lastCommit);
      const bareStartedMs = performance.now();
      await Promise.all(
        fresh.map(async ({ batches }, index) => {
          for (let number = 0; number < batches.length; number += 1)
            await bareTransaction(documents, sizes, `${round}-${index}-${number}`);
        }),
      );
      bare.push(perSecond(SESSIONS * batchesPerSession, performance.now() - bareStartedMs));
    }
    const middle = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
    return {
      unit: 'per second',
      sessionsInParallel: SESSIONS,
      batches: { calls, repeats, perSecondByRound: ours, perSecond: middle(ours), callMs: summarise(callMs) },
      baseline: {
        what: 'bare SDK transactions that put items of the same sizes',
        itemBytes: sizes,
        perSecondByRound: bare,
        perSecond: middle(bare),
      },
      ratio: Math.round((middle(ours) / middle(bare)) * 100) / 100,
      errorsInTotals: await countErrors(plain, sessions),
      paperModel: model(sizes),
    };
  } finally {
    client.destroy();
    await started.dynamodb.stop();
    rmSync(dir, { recursive: true, force: true });
  }
};
