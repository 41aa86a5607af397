/** What happens without a request: stream batches, schedules' neighbours, expiry. */

import { join } from 'node:path';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { DynamoDBStreamsClient } from '@aws-sdk/client-dynamodb-streams';
import { STREAM_TRIGGERS } from '../../infra/topology.ts';
import { type Clock, sleep } from '../../shared/clock.ts';
import { deadLetterFile } from '../dynamodb/dead-letters.ts';
import { toLambdaStreamEvent } from '../dynamodb/lambda-record.ts';
import { fileCheckpoint } from '../dynamodb/stream-checkpoint.ts';
import { pollStream } from '../dynamodb/stream-poller.ts';
import type { TableSpec } from '../dynamodb/table-spec.ts';
import { sweepExpired } from '../dynamodb/ttl-sweeper.ts';
import { REGION } from '../lambda/identity.ts';
import type { LambdaInvoker } from '../lambda/types.ts';
import { tableName } from './handler-environment.ts';

/** Pause after an empty read: what live viewers wait for an event beyond its commit, against an idle machine's work. */
const STREAM_IDLE_MS = 100;
const SWEEP_EVERY_MS = 5 * 60_000;

export interface Trigger {
  stop(): Promise<void>;
}

/** Polls each stream of the topology into its function, with its filter, retries and dead letters. What is kept stands under `dir`. */
export const startStreams = (
  client: DynamoDBStreamsClient,
  lambda: LambdaInvoker,
  dir: string,
  warn: (message: string) => void,
): Trigger => {
  const abort = new AbortController();
  const polls = STREAM_TRIGGERS.map((trigger) =>
    pollStream({
      client,
      tableName: tableName(trigger.table),
      batchSize: trigger.batchSize,
      idleMs: STREAM_IDLE_MS,
      signal: abort.signal,
      checkpoint: fileCheckpoint(join(dir, `${trigger.table}-${trigger.function}.json`)),
      changes: trigger.changes,
      ...(trigger.newImage === undefined ? {} : { newImage: trigger.newImage }),
      giveUp: {
        retries: trigger.retries,
        maxAgeMs: trigger.maxRecordAgeMs,
        onDead: deadLetterFile(join(dir, `${trigger.table}-${trigger.function}.dead.jsonl`)),
      },
      async onRecords(records, { streamArn }) {
        const event = toLambdaStreamEvent(records, streamArn, REGION);
        const result = await lambda.invoke(trigger.function, event, { source: 'stream' });
        if (!result.ok) throw new Error(`${trigger.function}: ${result.message}`);
      },
      onProblem(problem) {
        const why = 'error' in problem && problem.error instanceof Error ? problem.error.message : '';
        warn(`stream of ${trigger.table}: ${problem.kind} ${why}`);
      },
    }),
  );
  return {
    async stop() {
      abort.abort();
      await Promise.all(polls);
    },
  };
};

/** Deletes expired items now and then; where a real DynamoDB answers, it finds nothing to do. */
export const startSweeper = (
  client: DynamoDBClient,
  tables: readonly TableSpec[],
  clock: Clock,
  warn: (message: string) => void,
): Trigger => {
  const abort = new AbortController();
  const run = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      // Only the abort rejects, and the loop's condition answers it.
      await sleep(clock, SWEEP_EVERY_MS, abort.signal).catch(() => {});
      if (abort.signal.aborted) return;
      await sweepExpired({ client, tables, nowMs: clock.nowMs() }).catch((error: unknown) =>
        warn(`expired items were not deleted: ${error instanceof Error ? error.message : String(error)}`),
      );
    }
  };
  const running = run();
  return {
    async stop() {
      abort.abort();
      await running;
    },
  };
};
