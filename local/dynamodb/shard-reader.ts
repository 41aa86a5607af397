/** Reads one shard from its checkpoint to its end: trims, expired iterators and failing batches are dealt with here. */
import {
  ExpiredIteratorException,
  GetRecordsCommand,
  GetShardIteratorCommand,
  ResourceNotFoundException,
  TrimmedDataAccessException,
} from '@aws-sdk/client-dynamodb-streams';
import { sleep } from '../../shared/clock.ts';
import type { PollContext } from './stream-poller.ts';

const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 20_000;

/** Full jitter over an exponentially growing span; `attempt` counts from 1. */
export const backoffMs = (attempt: number, random: number): number =>
  Math.ceil(Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 16)) * random);

async function openIterator(context: PollContext, shardId: string): Promise<string | undefined> {
  const lastSequence = context.positionOf(shardId);
  const shard = { StreamArn: context.streamArn, ShardId: shardId };
  const from =
    lastSequence === undefined
      ? ({ ShardIteratorType: 'TRIM_HORIZON' } as const)
      : ({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: lastSequence } as const);
  const { ShardIterator } = await context.client.send(new GetShardIteratorCommand({ ...shard, ...from }), {
    abortSignal: context.signal,
  });
  return ShardIterator;
}

/** Pauses; returns false when the signal came meanwhile. */
const pause = (context: PollContext, delayMs: number): Promise<boolean> =>
  sleep(context.clock, delayMs, context.signal).then(
    () => true,
    // The only rejection is the abort.
    () => false,
  );

type Records = Parameters<PollContext['onRecords']>[0];

/** One record that fails alone: whether it is given up now, and taken by the dead letters. */
async function givenUp(context: PollContext, shardId: string, records: Records, attempt: number): Promise<boolean> {
  const [record] = records;
  if (context.giveUp === undefined || record === undefined || records.length > 1) return false;
  const bornMs = record.dynamodb?.ApproximateCreationDateTime?.getTime();
  const isOld = bornMs !== undefined && context.clock.nowMs() - bornMs > context.giveUp.maxAgeMs;
  if (!isOld && attempt <= context.giveUp.retries) return false;
  const why = isOld ? 'RecordAgeExceeded' : 'RetryAttemptsExhausted';
  try {
    await context.giveUp.onDead(record, { streamArn: context.streamArn, shardId }, why);
  } catch (error) {
    context.onProblem({ kind: 'batch_failed', shardId, attempt, error });
    return false;
  }
  context.onProblem({ kind: 'record_given_up', shardId, sequence: record.dynamodb?.SequenceNumber });
  return true;
}

/** Hands a batch over until it succeeds or, halved down to single records, is given up; false when the signal came first. */
async function deliver(context: PollContext, shardId: string, records: Records): Promise<boolean> {
  for (let attempt = 1; !context.signal.aborted; attempt += 1) {
    try {
      await context.onRecords(records, { streamArn: context.streamArn, shardId });
      return true;
    } catch (error) {
      context.onProblem({ kind: 'batch_failed', shardId, attempt, error });
      if (await givenUp(context, shardId, records, attempt)) return true;
      await pause(context, backoffMs(attempt, context.random.next()));
      if (context.giveUp === undefined || records.length < 2) continue;
      const middle = Math.ceil(records.length / 2);
      return (
        (await deliver(context, shardId, records.slice(0, middle))) && deliver(context, shardId, records.slice(middle))
      );
    }
  }
  return false;
}

/** Lambda's filter: what does not pass is nobody's, and is passed over. */
const isWanted = ({ changes, newImage = {} }: PollContext, { eventName, dynamodb }: Records[number]): boolean =>
  (changes?.includes(String(eventName)) ?? true) &&
  Object.entries(newImage).every(([name, value]) => {
    const attribute = dynamodb?.NewImage?.[name];
    return (typeof value === 'boolean' ? attribute?.BOOL : attribute?.S) === value;
  });

/** One read; returns the next iterator, 'end' at the shard's end, or undefined when the signal came before the batch succeeded. */
async function readOnce(
  context: PollContext,
  shardId: string,
  iterator: string,
): Promise<{ next: string } | 'end' | undefined> {
  const command = new GetRecordsCommand({ ShardIterator: iterator, Limit: context.batchSize });
  const { Records = [], NextShardIterator } = await context.client.send(command, { abortSignal: context.signal });
  if (Records.length > 0) {
    const wanted = Records.filter((record) => isWanted(context, record));
    if (wanted.length > 0 && !(await deliver(context, shardId, wanted))) return undefined;
    await context.advance(shardId, Records.at(-1)?.dynamodb?.SequenceNumber, false);
  }
  if (NextShardIterator === undefined) return 'end';
  if (Records.length === 0) await pause(context, context.idleMs);
  return { next: NextShardIterator };
}

/** What a failed read means for going on; reports and forgets a position that was trimmed away. */
async function recover(context: PollContext, shardId: string, error: unknown, attempt: number): Promise<void> {
  if (error instanceof ExpiredIteratorException) return;
  const afterSequence = context.positionOf(shardId);
  if (error instanceof TrimmedDataAccessException && afterSequence !== undefined) {
    context.onProblem({ kind: 'records_trimmed', shardId, afterSequence });
    await context.advance(shardId, undefined, false);
    return;
  }
  context.onProblem({ kind: 'read_failed', shardId, attempt, error });
  await pause(context, backoffMs(attempt, context.random.next()));
}

/** Consumes a shard until its end or the signal. An open shard is known by its next iterator alone: dynoxide also gives it an ending number. */
export async function readShard(context: PollContext, shardId: string): Promise<void> {
  let iterator: string | undefined;
  let attempt = 0;
  while (!context.signal.aborted) {
    try {
      iterator ??= await openIterator(context, shardId);
      const outcome = iterator === undefined ? 'end' : await readOnce(context, shardId, iterator);
      if (outcome === 'end') return await context.advance(shardId, context.positionOf(shardId), true);
      iterator = outcome?.next;
      attempt = 0;
    } catch (error) {
      if (context.signal.aborted) return;
      // The stream is gone, or was made anew: whoever reads it has to look for it again.
      if (error instanceof ResourceNotFoundException) throw error;
      attempt += 1;
      iterator = undefined;
      await recover(context, shardId, error, attempt);
    }
  }
}
