/** Reads a table's stream the way Lambda's event source does: at least once, in order per shard, a failed batch again until it succeeds. */
import {
  type _Record,
  DescribeStreamCommand,
  type DynamoDBStreamsClient,
  ListStreamsCommand,
  type Shard,
} from '@aws-sdk/client-dynamodb-streams';
import { type Clock, type Random, sleep, systemClock, systemRandom } from '../../shared/clock.ts';
import { readShard } from './shard-reader.ts';
import type { CheckpointStore, StreamCheckpoint } from './stream-checkpoint.ts';

export interface StreamBatch {
  streamArn: string;
  shardId: string;
}

export interface PollStreamOptions {
  client: DynamoDBStreamsClient;
  tableName: string;
  /** Gets records of one shard in order; a rejection brings the same batch again after a back-off. */
  onRecords(records: readonly _Record[], batch: StreamBatch): Promise<void>;
  checkpoint: CheckpointStore;
  /** Ends the polling; a batch being handled is awaited first. */
  signal: AbortSignal;
  /** Pause after an empty read, milliseconds. */
  idleMs: number;
  /** Records a batch holds at most (1 to 1000). */
  batchSize?: number;
  clock?: Clock;
  random?: Random;
  /** Kinds of changes that are handed over; every kind unless told. */
  changes?: readonly string[];
  /** Of those, the ones whose new image has these values. */
  newImage?: Readonly<Record<string, string | boolean>>;
  /** Without it a failed batch comes again for ever, whole. */
  giveUp?: GiveUp;
  /** Told of every failure that is retried, and of records that were trimmed before they were read. */
  onProblem?(problem: StreamProblem): void;
}

/** As Lambda's event source does with bisect: a failed batch is halved, and what fails alone is given up at last. */
export interface GiveUp {
  /** Times a record that fails alone is tried again. */
  retries: number;
  /** A record that failed and is older than this is not tried again. */
  maxAgeMs: number;
  /** Takes what was given up; a rejection brings the record again. */
  onDead(record: _Record, batch: StreamBatch, why: 'RetryAttemptsExhausted' | 'RecordAgeExceeded'): Promise<void>;
}

export type StreamProblem =
  | { kind: 'batch_failed' | 'read_failed'; shardId: string | undefined; attempt: number; error: unknown }
  | { kind: 'records_trimmed'; shardId: string; afterSequence: string }
  | { kind: 'record_given_up'; shardId: string; sequence: string | undefined };

/** What shard readers share: the options with their defaults, and the checkpoint they advance. */
export interface PollContext
  extends Required<Omit<PollStreamOptions, 'checkpoint' | 'changes' | 'newImage' | 'giveUp'>> {
  changes: readonly string[] | undefined;
  newImage: Readonly<Record<string, string | boolean>> | undefined;
  giveUp: GiveUp | undefined;
  streamArn: string;
  positionOf(shardId: string): string | undefined;
  advance(shardId: string, lastSequence: string | undefined, done: boolean): Promise<void>;
}

const DESCRIBE_RETRY_MS = 500;
const DEFAULT_BATCH_SIZE = 100;

interface StreamView {
  streamArn: string;
  shards: Shard[];
}

/** The table's enabled stream with all its shards, or undefined while there is none. */
async function findStream(client: DynamoDBStreamsClient, tableName: string): Promise<StreamView | undefined> {
  const { Streams = [] } = await client.send(new ListStreamsCommand({ TableName: tableName }));
  for (const { StreamArn } of Streams.toReversed()) {
    const shards: Shard[] = [];
    let enabled = true;
    let after: string | undefined;
    do {
      const page = await client.send(
        new DescribeStreamCommand({ StreamArn, ...(after ? { ExclusiveStartShardId: after } : {}) }),
      );
      enabled &&= page.StreamDescription?.StreamStatus?.startsWith('ENABL') === true;
      shards.push(...(page.StreamDescription?.Shards ?? []));
      after = page.StreamDescription?.LastEvaluatedShardId;
    } while (after);
    if (enabled && StreamArn) return { streamArn: StreamArn, shards };
  }
  return undefined;
}

/**
 * The checkpoint to go on with: places in another stream mean nothing, so a stream that was made anew is read from its beginning (again
 * rather than never); shards that no longer exist are forgotten.
 */
export function carryOver(
  previous: StreamCheckpoint | undefined,
  stream: { streamArn: string; shardIds: readonly string[] },
): StreamCheckpoint {
  const shards = previous?.streamArn === stream.streamArn ? Object.entries(previous.shards) : [];
  const kept = shards.filter(([shardId]) => stream.shardIds.includes(shardId));
  return { streamArn: stream.streamArn, shards: Object.fromEntries(kept) };
}

/** Shards that may be read now: not finished, and their parent (older records of the same keys) finished or gone. */
export function readableShards(shards: readonly Shard[], checkpoint: StreamCheckpoint): string[] {
  const present = new Set(shards.map((shard) => shard.ShardId));
  const isDone = (shardId: string | undefined): boolean =>
    shardId !== undefined && checkpoint.shards[shardId]?.done === true;
  return shards.flatMap(({ ShardId, ParentShardId }) => {
    const parentOver = ParentShardId === undefined || !present.has(ParentShardId) || isDone(ParentShardId);
    return ShardId !== undefined && parentOver && !isDone(ShardId) ? [ShardId] : [];
  });
}

/** One view of a stream: its checkpoint, saved in the order it advanced. */
function openCheckpoint(store: CheckpointStore, checkpoint: StreamCheckpoint) {
  let saving: Promise<void> = Promise.resolve();
  return {
    positionOf: (shardId: string) => checkpoint.shards[shardId]?.lastSequence,
    advance: (shardId: string, lastSequence: string | undefined, done: boolean): Promise<void> => {
      checkpoint.shards[shardId] = { ...(lastSequence === undefined ? {} : { lastSequence }), done };
      const copy = structuredClone(checkpoint);
      // An earlier save that failed was reported to its own shard; this one carries the newer truth anyway.
      saving = saving.catch(() => undefined).then(() => store.save(copy));
      return saving;
    },
  };
}

/** Reads all shards of one stream until each is at its end, a reader stops, or the signal comes. */
async function readStream(
  base: Omit<PollContext, 'streamArn' | 'positionOf' | 'advance'>,
  store: CheckpointStore,
): Promise<'idle' | 'read'> {
  const stream = await findStream(base.client, base.tableName);
  if (!stream) return 'idle';
  const shardIds = stream.shards.flatMap((shard) => (shard.ShardId === undefined ? [] : [shard.ShardId]));
  const checkpoint = carryOver(await store.load(), { streamArn: stream.streamArn, shardIds });
  const readable = readableShards(stream.shards, checkpoint);
  const context: PollContext = { ...base, streamArn: stream.streamArn, ...openCheckpoint(store, checkpoint) };
  // Readers of other shards are stopped (after their batch) when one ends: its children have to be found and read.
  const round = new AbortController();
  const signal = AbortSignal.any([base.signal, round.signal]);
  const readers = readable.map((shardId) => readShard({ ...context, signal }, shardId).finally(() => round.abort()));
  const settled = await Promise.allSettled(readers);
  const failed = settled.find((each) => each.status === 'rejected');
  if (failed) throw failed.reason;
  return readable.length === 0 ? 'idle' : 'read';
}

/**
 * Polls until `signal` aborts; resolves then, after the batches in hand.
 * A stream that is not there yet is waited for; transport errors are retried and reported to `onProblem`.
 */
export async function pollStream(options: PollStreamOptions): Promise<void> {
  const { checkpoint, ...rest } = options;
  const base = {
    batchSize: DEFAULT_BATCH_SIZE,
    clock: systemClock,
    random: systemRandom,
    onProblem: () => undefined,
    changes: undefined,
    newImage: undefined,
    giveUp: undefined,
    ...rest,
  };
  let attempt = 0;
  while (!base.signal.aborted) {
    let pauseMs = 0;
    try {
      if ((await readStream(base, checkpoint)) === 'idle') pauseMs = base.idleMs;
      attempt = 0;
    } catch (error) {
      if (base.signal.aborted) return;
      attempt += 1;
      base.onProblem({ kind: 'read_failed', shardId: undefined, attempt, error });
      pauseMs = Math.max(base.idleMs, DESCRIBE_RETRY_MS);
    }
    // Only the abort rejects, and the loop's condition answers it.
    if (pauseMs > 0) await sleep(base.clock, pauseMs, base.signal).catch(() => undefined);
  }
}
