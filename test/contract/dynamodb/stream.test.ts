import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { _Record } from '@aws-sdk/client-dynamodb-streams';
import { DeleteCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { deadLetterFile } from '../../../local/dynamodb/dead-letters.ts';
import { ensureTables } from '../../../local/dynamodb/ensure-tables.ts';
import { toLambdaStreamEvent } from '../../../local/dynamodb/lambda-record.ts';
import { fileCheckpoint } from '../../../local/dynamodb/stream-checkpoint.ts';
import { type PollStreamOptions, pollStream, type StreamProblem } from '../../../local/dynamodb/stream-poller.ts';
import { systemClock } from '../../../shared/clock.ts';
import { type DynamodbHarness, dynamodbHarness, SESSIONS } from './dynamodb-harness.ts';

let harness: DynamodbHarness;
beforeEach(async () => {
  harness = await dynamodbHarness();
  await ensureTables(harness.client, [SESSIONS]);
});
afterEach(() => harness.stop());

const put = (sk: string, more: Record<string, unknown> = {}) =>
  harness.documents.send(new PutCommand({ TableName: 'sessions', Item: { pk: 'p', sk, ...more } }));
const keyOf = (record: _Record) => record.dynamodb?.Keys?.sk?.S;

/** A poller in the background; `stop` ends it and waits for it. */
function poll(
  onRecords: (records: readonly _Record[]) => Promise<void>,
  batchSize = 100,
  more: Partial<PollStreamOptions> = {},
) {
  const abort = new AbortController();
  const problems: StreamProblem[] = [];
  const done = pollStream({
    client: harness.streams,
    tableName: 'sessions',
    onRecords,
    checkpoint: fileCheckpoint(join(harness.dir, 'streams', 'sessions.json')),
    signal: abort.signal,
    idleMs: 5,
    batchSize,
    onProblem: (problem) => problems.push(problem),
    ...more,
  });
  return {
    problems,
    stop: async () => {
      abort.abort();
      await done;
    },
  };
}

describe('architecture §3, row "DynamoDB and its streams"', () => {
  it('delivers inserts, changes and removals of a table in order, with both images', async () => {
    await put('1', { colour: 'red' });
    await harness.documents.send(
      new UpdateCommand({
        TableName: 'sessions',
        Key: { pk: 'p', sk: '1' },
        UpdateExpression: 'SET colour = :c',
        ExpressionAttributeValues: { ':c': 'blue' },
      }),
    );
    await harness.documents.send(new DeleteCommand({ TableName: 'sessions', Key: { pk: 'p', sk: '1' } }));
    const seen: _Record[] = [];
    const poller = poll(async (records) => void seen.push(...records));
    await vi.waitFor(() => expect(seen).toHaveLength(3));
    await poller.stop();
    expect(
      seen.map((each) => [each.eventName, each.dynamodb?.OldImage?.colour?.S, each.dynamodb?.NewImage?.colour?.S]),
    ).toEqual([
      ['INSERT', undefined, 'red'],
      ['MODIFY', 'red', 'blue'],
      ['REMOVE', 'blue', undefined],
    ]);
    const event = toLambdaStreamEvent(seen, 'arn:stream', 'us-east-1');
    expect(event.Records[0]).toMatchObject({
      eventName: 'INSERT',
      eventSourceARN: 'arn:stream',
      dynamodb: { Keys: { pk: { S: 'p' }, sk: { S: '1' } } },
    });
    expect(JSON.parse(JSON.stringify(event))).toEqual(event);
  });

  it('keeps order over many batches, and past sequence number 99', async () => {
    for (let at = 0; at < 130; at += 1) await put(`${at}`);
    const seen: (string | undefined)[] = [];
    const sizes: number[] = [];
    const poller = poll(async (records) => {
      sizes.push(records.length);
      seen.push(...records.map(keyOf));
    }, 7);
    await vi.waitFor(() => expect(seen).toHaveLength(130));
    await poller.stop();
    expect(seen).toEqual(Array.from({ length: 130 }, (_, at) => `${at}`));
    expect(Math.max(...sizes)).toBe(7);
  });

  it('a failed batch comes again, whole and before anything later', async () => {
    for (const sk of ['1', '2', '3']) await put(sk);
    const calls: string[] = [];
    const poller = poll(async (records) => {
      calls.push(records.map(keyOf).join(','));
      if (calls.length < 3) throw new Error(`failure ${calls.length}`);
    }, 2);
    await vi.waitFor(() => expect(calls).toHaveLength(4));
    await poller.stop();
    expect(calls).toEqual(['1,2', '1,2', '1,2', '3']);
    expect(poller.problems).toMatchObject([
      { kind: 'batch_failed', attempt: 1 },
      { kind: 'batch_failed', attempt: 2 },
    ]);
  });

  it('a record that fails every time is found by halving, given to the dead letters, and blocks nothing', async () => {
    for (const sk of ['1', '2', 'poison', '4', '5']) await put(sk);
    const done: (string | undefined)[] = [];
    const alone: number[] = [];
    const path = join(harness.dir, 'streams', 'dead.jsonl');
    const poller = poll(
      async (records) => {
        if (records.some((record) => keyOf(record) === 'poison')) {
          if (records.length === 1) alone.push(1);
          throw new Error('cannot be handled');
        }
        done.push(...records.map(keyOf));
      },
      100,
      { giveUp: { retries: 2, maxAgeMs: 60_000, onDead: deadLetterFile(path) } },
    );
    await put('6');
    await vi.waitFor(() => expect(done).toContain('6'));
    await poller.stop();
    expect(done).toEqual(['1', '2', '4', '5', '6']);
    expect(alone).toHaveLength(3);
    expect(poller.problems.filter(({ kind }) => kind === 'record_given_up')).toHaveLength(1);
    const letters = readFileSync(path, 'utf8').trim().split('\n');
    expect(letters.map((line) => JSON.parse(line))).toMatchObject([
      {
        requestContext: { condition: 'RetryAttemptsExhausted' },
        DDBStreamBatchInfo: { batchSize: 1 },
        keys: { sk: { S: 'poison' } },
      },
    ]);
    // What was given up does not come again after a restart.
    const second = poll(async (records) => void done.push(...records.map(keyOf)));
    await put('7');
    await vi.waitFor(() => expect(done).toContain('7'));
    await second.stop();
    expect(done).toEqual(['1', '2', '4', '5', '6', '7']);
  });

  it('an old record that fails is given up at once', async () => {
    await put('1');
    const dead: string[] = [];
    const late = { ...systemClock, nowMs: () => Date.now() + 10 * 60_000 };
    const poller = poll(async () => Promise.reject(new Error('no')), 100, {
      clock: late,
      giveUp: { retries: 1_000, maxAgeMs: 5 * 60_000, onDead: async (_record, _batch, why) => void dead.push(why) },
    });
    await vi.waitFor(() => expect(dead).toEqual(['RecordAgeExceeded']));
    await poller.stop();
  });

  it('only the kinds of changes that are asked for are handed over', async () => {
    await put('1');
    await put('1', { colour: 'red' });
    await harness.documents.send(new DeleteCommand({ TableName: 'sessions', Key: { pk: 'p', sk: '1' } }));
    await put('2');
    const seen: (string | undefined)[] = [];
    const poller = poll(async (records) => void seen.push(...records.map(({ eventName }) => eventName)), 100, {
      changes: ['INSERT'],
    });
    await vi.waitFor(() => expect(seen).toEqual(['INSERT', 'INSERT']));
    await poller.stop();
  });

  it('of those, only the ones whose new image has the values that are asked for', async () => {
    for (const sk of ['1', '2', '3']) await put(sk);
    await put('1', { isSuspended: false });
    await put('2', { isSuspended: true });
    await put('3', { isSuspended: 'true' });
    const seen: (string | undefined)[] = [];
    const poller = poll(async (records) => void seen.push(...records.map(keyOf)), 100, {
      changes: ['MODIFY'],
      newImage: { pk: 'p', isSuspended: true },
    });
    await put('1', { isSuspended: true });
    await vi.waitFor(() => expect(seen).toEqual(['2', '1']));
    await poller.stop();
  });

  it('goes on after a restart of the poller and of the database, without loss or repetition of what succeeded', async () => {
    const seen: (string | undefined)[] = [];
    const collect = async (records: readonly _Record[]) => void seen.push(...records.map(keyOf));
    await put('1');
    const first = poll(collect);
    await vi.waitFor(() => expect(seen).toEqual(['1']));
    await first.stop();
    await put('2');
    await harness.crashAndRestart();
    await put('3');
    const second = poll(collect);
    await vi.waitFor(() => expect(seen).toEqual(['1', '2', '3']));
    await second.stop();
  });

  it('a batch that failed before the restart comes again', async () => {
    await put('1');
    let failures = 0;
    const first = poll(async () => {
      failures += 1;
      throw new Error('not yet');
    });
    await vi.waitFor(() => expect(failures).toBeGreaterThan(0));
    await first.stop();
    const seen: (string | undefined)[] = [];
    const second = poll(async (records) => void seen.push(...records.map(keyOf)));
    await vi.waitFor(() => expect(seen).toEqual(['1']));
    await second.stop();
  });

  it('a database that is away is a reported problem, not the end of the poller', async () => {
    const poller = poll(async () => undefined);
    process.kill(harness.dynamodb.pid, 'SIGKILL');
    await vi.waitFor(() =>
      expect(poller.problems.filter((each) => each.kind === 'read_failed').length).toBeGreaterThan(1),
    );
    await poller.stop();
  });
});
