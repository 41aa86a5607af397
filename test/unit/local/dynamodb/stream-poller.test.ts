import {
  type DynamoDBStreamsClient,
  ExpiredIteratorException,
  ResourceNotFoundException,
  type Shard,
  TrimmedDataAccessException,
} from '@aws-sdk/client-dynamodb-streams';
import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../../../local/dynamodb/shard-reader.ts';
import type { CheckpointStore, StreamCheckpoint } from '../../../../local/dynamodb/stream-checkpoint.ts';
import { carryOver, pollStream, readableShards, type StreamProblem } from '../../../../local/dynamodb/stream-poller.ts';
import type { Clock } from '../../../../shared/clock.ts';

/** Time passes at once: every pause ends in the next turn of the event loop. */
const hastyClock: Clock = {
  nowMs: () => 0,
  monotonicMs: () => 0,
  after: (_, run) => {
    const timer = setImmediate(run);
    return () => clearImmediate(timer);
  },
};

interface FakeShard {
  id: string;
  parent?: string;
  closed: boolean;
  /** Numbers that are still there; smaller ones were trimmed. */
  numbers: number[];
  firstKept?: number;
}

const meta = { $metadata: {} };

/** The streams API over arrays; `fail` may throw instead of an answer. */
function fakeStreams(
  view: { arn: string; shards: FakeShard[] },
  fail: (command: string, shardId: string) => void = () => undefined,
) {
  const shardOf = (id: string): FakeShard => {
    const shard = view.shards.find((each) => each.id === id);
    if (!shard) throw new ResourceNotFoundException({ message: 'no such shard', ...meta });
    return shard;
  };
  const answers: Record<string, (input: Record<string, string>) => unknown> = {
    ListStreamsCommand: () => ({ Streams: [{ StreamArn: view.arn }] }),
    DescribeStreamCommand: () => ({
      StreamDescription: {
        StreamStatus: 'ENABLED',
        Shards: view.shards.map((each) => ({ ShardId: each.id, ParentShardId: each.parent })),
      },
    }),
    GetShardIteratorCommand: (input) => {
      fail('iterator', input.ShardId ?? '');
      const shard = shardOf(input.ShardId ?? '');
      const after = Number(input.SequenceNumber ?? 0);
      if (input.SequenceNumber && after + 1 < (shard.firstKept ?? 0))
        throw new TrimmedDataAccessException({ message: 'trimmed', ...meta });
      return { ShardIterator: `${shard.id}:${after}` };
    },
    GetRecordsCommand: (input) => {
      const [id = '', after] = (input.ShardIterator ?? '').split(':');
      fail('records', id);
      const shard = shardOf(id);
      const page = shard.numbers.filter((number) => number > Number(after)).slice(0, Number(input.Limit));
      const last = page.at(-1) ?? Number(after);
      const ended = shard.closed && last >= (shard.numbers.at(-1) ?? 0);
      return {
        Records: page.map((number) => ({ dynamodb: { SequenceNumber: `${number}` } })),
        ...(ended ? {} : { NextShardIterator: `${id}:${last}` }),
      };
    },
  };
  const send = async (command: { constructor: { name: string }; input: Record<string, string> }) =>
    answers[command.constructor.name]?.(command.input);
  return { send } as unknown as DynamoDBStreamsClient;
}

function memoryCheckpoint(initial?: StreamCheckpoint): CheckpointStore & { saved: StreamCheckpoint | undefined } {
  const store = {
    saved: initial,
    load: async () => store.saved,
    save: async (checkpoint: StreamCheckpoint) => {
      store.saved = checkpoint;
    },
  };
  return store;
}

/** Polls until `want` records came, and returns all of them as `shard:number`. */
async function collect(
  client: DynamoDBStreamsClient,
  want: number,
  checkpoint = memoryCheckpoint(),
  onBatch?: (batch: string[]) => void,
) {
  const abort = new AbortController();
  const seen: string[] = [];
  const problems: StreamProblem[] = [];
  await pollStream({
    client,
    tableName: 'table',
    checkpoint,
    signal: AbortSignal.any([abort.signal, AbortSignal.timeout(5_000)]),
    idleMs: 1,
    batchSize: 2,
    clock: hastyClock,
    random: { next: () => 0.5, hex: () => '' },
    onProblem: (problem) => problems.push(problem),
    onRecords: async (records, { shardId }) => {
      const batch = records.map((record) => `${shardId}:${record.dynamodb?.SequenceNumber}`);
      onBatch?.(batch);
      seen.push(...batch);
      if (seen.length >= want) abort.abort();
    },
  });
  return { seen, problems, checkpoint };
}

const NUMBERS = [1, 2, 3, 4, 5];
const ofShard = (id: string, numbers = NUMBERS) => numbers.map((number) => `${id}:${number}`);

describe('pollStream', () => {
  it('reads a parent to its end before its children', async () => {
    const shards = [
      { id: 'left', parent: 'root', closed: false, numbers: [6, 7] },
      { id: 'right', parent: 'root', closed: false, numbers: [8] },
      { id: 'root', closed: true, numbers: NUMBERS },
    ];
    const { seen, checkpoint } = await collect(fakeStreams({ arn: 'arn', shards }), 8);
    expect(seen.slice(0, 5)).toEqual(ofShard('root'));
    expect(seen.slice(5).toSorted()).toEqual(['left:6', 'left:7', 'right:8']);
    expect(checkpoint.saved?.shards.root).toEqual({ lastSequence: '5', done: true });
  });

  it('goes on after its checkpoint', async () => {
    const checkpoint = memoryCheckpoint({ streamArn: 'arn', shards: { one: { lastSequence: '3', done: false } } });
    const { seen } = await collect(
      fakeStreams({ arn: 'arn', shards: [{ id: 'one', closed: false, numbers: NUMBERS }] }),
      2,
      checkpoint,
    );
    expect(seen).toEqual(['one:4', 'one:5']);
  });

  it('says when records were trimmed away, and goes on at the oldest that is left', async () => {
    const checkpoint = memoryCheckpoint({ streamArn: 'arn', shards: { one: { lastSequence: '1', done: false } } });
    const shards = [{ id: 'one', closed: false, numbers: [4, 5], firstKept: 4 }];
    const { seen, problems } = await collect(fakeStreams({ arn: 'arn', shards }), 2, checkpoint);
    expect(seen).toEqual(['one:4', 'one:5']);
    expect(problems).toEqual([{ kind: 'records_trimmed', shardId: 'one', afterSequence: '1' }]);
  });

  it('renews an expired iterator where the last batch succeeded, without a problem', async () => {
    let reads = 0;
    const client = fakeStreams({ arn: 'arn', shards: [{ id: 'one', closed: false, numbers: NUMBERS }] }, (command) => {
      if (command === 'records' && ++reads === 2) throw new ExpiredIteratorException({ message: 'expired', ...meta });
    });
    const { seen, problems } = await collect(client, 5);
    expect([seen, problems]).toEqual([ofShard('one'), []]);
  });

  it('outlives errors of the service, and reports each', async () => {
    let reads = 0;
    const client = fakeStreams({ arn: 'arn', shards: [{ id: 'one', closed: false, numbers: NUMBERS }] }, () => {
      reads += 1;
      if (reads < 4 || reads === 6) throw new Error('away');
    });
    const { seen, problems } = await collect(client, 5);
    expect(seen).toEqual(ofShard('one'));
    expect(problems.map((each) => each.kind)).toEqual(Array.from({ length: 4 }, () => 'read_failed'));
  });

  it('brings a failed batch again, unchanged, before anything later', async () => {
    const batches: string[] = [];
    const client = fakeStreams({ arn: 'arn', shards: [{ id: 'one', closed: false, numbers: NUMBERS }] });
    const { checkpoint } = await collect(client, 5, memoryCheckpoint(), (batch) => {
      batches.push(batch.join());
      if (batches.length === 2 || batches.length === 3) throw new Error('handler');
    });
    expect(batches).toEqual(['one:1,one:2', 'one:3,one:4', 'one:3,one:4', 'one:3,one:4', 'one:5']);
    expect(checkpoint.saved?.shards.one?.lastSequence).toBe('5');
  });

  it('a checkpoint that could not be saved costs a repetition at most', async () => {
    const checkpoint = memoryCheckpoint();
    const save = checkpoint.save;
    let saves = 0;
    checkpoint.save = async (next) => {
      saves += 1;
      if (saves === 1) throw new Error('disk full');
      await save(next);
    };
    const { seen, problems } = await collect(
      fakeStreams({ arn: 'arn', shards: [{ id: 'one', closed: false, numbers: NUMBERS }] }),
      5,
      checkpoint,
    );
    expect([...new Set(seen)]).toEqual(ofShard('one'));
    expect(problems[0]).toMatchObject({
      kind: 'read_failed',
      error: expect.objectContaining({ message: 'disk full' }),
    });
  });

  it('looks for the stream again when it was made anew', async () => {
    const view = { arn: 'old', shards: [{ id: 'one', closed: false, numbers: [1, 2] }] };
    const { seen } = await collect(fakeStreams(view), 4, memoryCheckpoint(), (batch) => {
      if (batch.includes('one:2'))
        Object.assign(view, { arn: 'new', shards: [{ id: 'two', closed: false, numbers: [1, 2] }] });
    });
    expect(seen).toEqual(['one:1', 'one:2', 'two:1', 'two:2']);
  });
});

describe('readableShards and carryOver', () => {
  const shards: Shard[] = [
    { ShardId: 'a' },
    { ShardId: 'b', ParentShardId: 'a' },
    { ShardId: 'c', ParentShardId: 'trimmed-away' },
  ];

  it.each([
    ['nothing read yet', {}, ['a', 'c']],
    ['the parent being read', { a: { lastSequence: '1', done: false } }, ['a', 'c']],
    ['the parent read', { a: { lastSequence: '9', done: true } }, ['b', 'c']],
    ['all read', { a: { done: true }, b: { done: true }, c: { done: true } }, []],
  ])('%s', (_, read, readable) => {
    expect(readableShards(shards, { streamArn: 'arn', shards: read })).toEqual(readable);
  });

  it('keeps the places of this stream, forgets those of another and of shards that are gone', () => {
    const previous = { streamArn: 'arn', shards: { a: { lastSequence: '1', done: false }, gone: { done: true } } };
    expect(carryOver(previous, { streamArn: 'arn', shardIds: ['a', 'b'] })).toEqual({
      streamArn: 'arn',
      shards: { a: previous.shards.a },
    });
    expect(carryOver(previous, { streamArn: 'other', shardIds: ['a'] })).toEqual({ streamArn: 'other', shards: {} });
    expect(carryOver(undefined, { streamArn: 'arn', shardIds: ['a'] })).toEqual({ streamArn: 'arn', shards: {} });
  });
});

describe('backoffMs', () => {
  it('doubles, within a cap, spread by chance', () => {
    expect([1, 2, 3, 50].map((attempt) => backoffMs(attempt, 1))).toEqual([200, 400, 800, 20_000]);
    expect([backoffMs(3, 0.5), backoffMs(3, 0)]).toEqual([400, 0]);
  });
});
