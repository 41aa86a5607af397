/** Follows the transcript of one conversation while the CLI lives. */
import { resolve } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../../../../shared/clock.ts';
import type { Ledger } from './ledger.ts';
import { factOf, SavedUsage, tailLines, usageOnce } from './transcript.ts';
import type { Turns } from './turns.ts';

const LOOK_EVERY_MS = 1_000;

export const SavedTranscript = z.strictObject({
  file: z.string().nullable(),
  /** Bytes of the file whose events are kept. */
  offset: z.int().min(0),
  usage: SavedUsage,
});
export type SavedTranscript = z.infer<typeof SavedTranscript>;

export const NO_TRANSCRIPT: SavedTranscript = { file: null, offset: 0, usage: { given: [], open: null } };

export interface TranscriptReader {
  /** The file, as the CLI names it; outside of its HOME it is not looked at. */
  follow(file: string | undefined): void;
  /** Reads what is there; resolves when its events are kept. */
  read(): Promise<void>;
  close(): Promise<void>;
  saved(): SavedTranscript;
}

interface ReaderOptions {
  readonly clock: Clock;
  readonly turns: Turns;
  readonly ledger: Ledger;
  readonly home: string;
  readonly from: SavedTranscript;
}

export function transcriptReader({ clock, turns, ledger, home, from }: ReaderOptions): TranscriptReader {
  const usage = usageOnce((one) => ledger.emit({ type: 'MODEL_USAGE', ...one, label: 'estimate' }), from.usage);
  let { file } = from;
  let tail = tailLines(from.offset);
  let isClosed = false;
  let last: Promise<void> = Promise.resolve();

  const look = async (): Promise<void> => {
    if (file === null) return;
    const lines = await tail.read(file);
    for (const line of lines) {
      const fact = factOf(line);
      if (fact?.kind === 'usage') usage.add(fact.usage);
      else if (fact?.kind === 'interrupted') turns.finish('interrupted', fact.atMs);
      else if (fact?.kind === 'left_queue') turns.leftQueue(fact.prompt);
    }
    if (!turns.isOpen) usage.flush();
    if (lines.length > 0 || ledger.isDue) ledger.commit();
  };
  const read = (): Promise<void> => {
    // Tokens are an estimate: a transcript that cannot be read must not end the session; the next look tries again.
    last = last.then(look).catch(() => undefined);
    return last;
  };
  const lookAgain = (): void => {
    cancel = clock.after(LOOK_EVERY_MS, () => {
      void read().then(() => {
        if (!isClosed) lookAgain();
      });
    });
  };
  let cancel = (): void => undefined;
  lookAgain();

  return {
    follow(next) {
      if (next === undefined || next === file || !resolve(next).startsWith(`${home}/`)) return;
      file = next;
      tail = tailLines();
    },
    read,
    async close() {
      isClosed = true;
      cancel();
      await read();
      usage.flush();
      if (ledger.isDue) ledger.commit();
    },
    saved: () => ({ file, offset: tail.offset, usage: usage.saved() }),
  };
}
