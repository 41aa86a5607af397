/** Remembers how far a stream was consumed, on disk, so that a restart goes on where the last batch succeeded. */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';

export const StreamCheckpoint = z.strictObject({
  streamArn: z.string(),
  /** By shard: the last record whose batch succeeded, and whether the shard was read to its end. */
  shards: z.record(z.string(), z.strictObject({ lastSequence: z.string().optional(), done: z.boolean() })),
});
export type StreamCheckpoint = z.infer<typeof StreamCheckpoint>;

export interface CheckpointStore {
  /** Undefined where nothing was consumed yet. */
  load(): Promise<StreamCheckpoint | undefined>;
  save(checkpoint: StreamCheckpoint): Promise<void>;
}

/** A checkpoint in one file, replaced by rename; throws when the file is there but is no checkpoint, for starting over would repeat a whole stream. */
export function fileCheckpoint(path: string): CheckpointStore {
  return {
    load: async () => {
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      return text === undefined ? undefined : StreamCheckpoint.parse(JSON.parse(text));
    },
    save: async (checkpoint) => {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const temporary = `${path}.${randomUUID()}`;
      {
        await using file = await open(temporary, 'wx', 0o600);
        await file.writeFile(JSON.stringify(checkpoint));
        await file.datasync();
      }
      await rename(temporary, path);
    },
  };
}
