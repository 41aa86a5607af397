/** Where records of a stream end that no retry could save: a file, as there is no queue here, with what Lambda tells a queue. */
import { appendFile, mkdir, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { GiveUp } from './stream-poller.ts';

/** A file this large becomes the one before it, whose contents go. */
const FILE_MAX_BYTES = 4 * 1024 * 1024;

const sizeOf = async (path: string): Promise<number> => {
  try {
    return (await stat(path)).size;
  } catch {
    // Nothing was given up yet; a folder that cannot be read shows when it is written.
    return 0;
  }
};

/** Appends one JSON line per record: which it was and why it was given up, not what it says, as with the queue. */
export const deadLetterFile =
  (path: string): GiveUp['onDead'] =>
  async ({ dynamodb }, { streamArn, shardId }, condition) => {
    const bornAt = dynamodb?.ApproximateCreationDateTime?.toISOString() ?? null;
    const letter = {
      requestContext: { condition },
      DDBStreamBatchInfo: {
        shardId,
        startSequenceNumber: dynamodb?.SequenceNumber ?? null,
        endSequenceNumber: dynamodb?.SequenceNumber ?? null,
        approximateArrivalOfFirstRecord: bornAt,
        approximateArrivalOfLastRecord: bornAt,
        batchSize: 1,
        streamArn,
      },
      keys: dynamodb?.Keys ?? null,
    };
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    if ((await sizeOf(path)) > FILE_MAX_BYTES) await rename(path, `${path}.1`);
    await appendFile(path, `${JSON.stringify(letter)}\n`, { mode: 0o600 });
  };
