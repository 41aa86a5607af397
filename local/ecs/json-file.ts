/** A small state on disk, replaced as a whole: a crash leaves the old file or the new one, never half of one. */
import { mkdirSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface JsonFile {
  /** The parsed file, or undefined when there is none. Throws when it is not JSON. */
  read(): unknown;
  /** Writes what `take()` returns once earlier writes are done; calls meanwhile share the next write. */
  save(take: () => unknown): Promise<void>;
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

/** The file is readable by its owner only: overrides carry one-use tokens. */
export const jsonFile = (path: string): JsonFile => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const write = async (take: () => unknown): Promise<void> => {
    await writeFile(`${path}.new`, JSON.stringify(take()), { mode: 0o600 });
    await rename(`${path}.new`, path);
  };
  const start = (take: () => unknown): Promise<void> => {
    running = write(take).finally(() => {
      running = undefined;
    });
    return running;
  };
  return {
    read() {
      try {
        return JSON.parse(readFileSync(path, 'utf8'));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw new Error(`${path} cannot be read`, { cause: error });
      }
    },
    save(take) {
      // Between the end of a write and the start of the one that waits for it nobody may slip in.
      if (running === undefined && next === undefined) return start(take);
      next ??= Promise.resolve(running)
        .catch(() => {}) // Its own caller hears of it; the next write stands for itself.
        .then(() => {
          next = undefined;
          return start(take);
        });
      return next;
    },
  };
};
