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
/** Even: the store becomes slower as it fills, so either side begins in every other round. */
const ROUNDS = 4;
const WARM_UP_BATCHES = 10;
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

interface Sides {
  readonly plain: Database;
  readonly ports: Parameters<typeof ingestBatch>[0];
  readonly documents: DynamoDBDocumentClient;
  readonly lastCommit: () => readonly Write[];
}

const newSessions = (db: Database, firstNumber: number, batchesOfEach: number): Promise<readonly Session[]> =>
  Promise.all(
    Array.from({ length: SESSIONS }, async (_, index) => {
      const ref = await addSession(db, firstNumber + index);
      const batches = Array.from({ length: batchesOfEach }, (_none, number) =>
        batchOf(ref, number * EVENTS_PER_BATCH + 1, draftsOf(number + 1)),
      );
      return { ref, batches };
    }),
  );

/** Side by side as many lanes as there are sessions. @returns how many of them a second */
const putBare = async (documents: DynamoDBDocumentClient, sizes: readonly Size[], id: string, ofEach: number) => {
  const startedMs = performance.now();
  const lanes = Array.from({ length: SESSIONS }, async (_, index) => {
    for (let number = 0; number < ofEach; number += 1)
      await bareTransaction(documents, sizes, `${id}-${index}-${number}`);
  });
  await Promise.all(lanes);
  return perSecond(SESSIONS * ofEach, performance.now() - startedMs);
};

const compare = async ({ plain, ports, documents, lastCommit }: Sides, batchesPerSession: number) => {
  const sessions: Session[] = [];
  const ours: number[] = [];
  const bare: number[] = [];
  const callMs: number[] = [];
  let repeats = 0;
  const addRound = async (batchesOfEach: number): Promise<readonly Session[]> => {
    const fresh = await newSessions(plain, sessions.length + 1, batchesOfEach);
    sessions.push(...fresh);
    return fresh;
  };
  const feedAll = async (fresh: readonly Session[], round: number) => {
    const startedMs = performance.now();
    const fed = await Promise.all(fresh.map((session, index) => feed(ports, session, round * 100 + index + 1)));
    const tookMs = fed.flatMap((each) => each.tookMs);
    ours.push(perSecond(tookMs.length, performance.now() - startedMs));
    repeats += fed.reduce((sum, each) => sum + each.repeats, 0);
    callMs.push(...tookMs);
  };
  /** The sizes of a commit, and both sides compiled; nothing of it counts. */
  await Promise.all((await addRound(WARM_UP_BATCHES)).map((session, index) => feed(ports, session, index)));
  const sizes = await sizesOf(plain, lastCommit());
  await putBare(documents, sizes, 'warm', WARM_UP_BATCHES);
  for (let round = 0; round < ROUNDS; round += 1) {
    const fresh = await addRound(batchesPerSession);
    const isFirst = round % 2 === 0;
    if (isFirst) await feedAll(fresh, round);
    bare.push(await putBare(documents, sizes, String(round), batchesPerSession));
    if (!isFirst) await feedAll(fresh, round);
  }
  const ratios = ours.map((count, round) => count / (bare[round] ?? count));
  const ratio = Math.exp(ratios.reduce((sum, each) => sum + Math.log(each), 0) / ratios.length);
  return { sessions, ours, bare, callMs, repeats, sizes, ratio };
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
    let last: readonly Write[] = [];
    const db: Database = {
      ...plain,
      transact: (writes) => {
        last = writes.filter((write): write is Write => write.kind !== 'check');
        return plain.transact(writes);
      },
    };
    const ports = { db, sessions: sessionStore(db, systemClock), clock: systemClock };
    const result = await compare({ plain, ports, documents, lastCommit: () => last }, batchesPerSession);
    const { sessions, ours, bare, callMs, repeats, sizes, ratio } = result;
    const middle = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
    return {
      unit: 'per second',
      sessionsInParallel: SESSIONS,
      batches: {
        ...{ calls: callMs.length, repeats, perSecondByRound: ours, perSecond: middle(ours) },
        callMs: summarise(callMs),
      },
      baseline: {
        what: 'bare SDK transactions that put items of the same sizes',
        itemBytes: sizes,
        perSecondByRound: bare,
        perSecond: middle(bare),
      },
      ratio: Math.round(ratio * 100) / 100,
      errorsInTotals: await countErrors(plain, sessions),
      paperModel: model(sizes),
    };
  } finally {
    client.destroy();
    await started.dynamodb.stop();
    rmSync(dir, { recursive: true, force: true });
  }
};
