/** Follows the transcript of one conversation while the CLI lives. */
import { resolve } from 'node:path';
import type { Clock } from '../../../../shared/clock.ts';
import type { ProviderEvent } from '../contract.ts';
import { factOf, tailLines, usageOnce } from './transcript.ts';
import type { Turns } from './turns.ts';

const LOOK_EVERY_MS = 1_000;

export interface TranscriptReader {
  /** The file, as the CLI names it; outside of its HOME it is not looked at. */
  follow(file: string | undefined): void;
  /** Reads what is there; resolves when its events are out. */
  read(): Promise<void>;
  close(): Promise<void>;
}

interface ReaderOptions {
  readonly clock: Clock;
  readonly turns: Turns;
  readonly emit: (event: ProviderEvent) => void;
  readonly home: string;
}

export function transcriptReader({ clock, turns, emit, home }: ReaderOptions): TranscriptReader {
  const usage = usageOnce((one) => emit({ type: 'MODEL_USAGE', ...one, label: 'estimate' }));
  let file: string | undefined;
  let tail = tailLines();
  let isClosed = false;
  let last: Promise<void> = Promise.resolve();

  const look = async (): Promise<void> => {
    if (file === undefined) return;
    for (const line of await tail(file)) {
      const fact = factOf(line);
      if (fact?.kind === 'usage') usage.add(fact.usage);
      else if (fact?.kind === 'interrupted') turns.finish('interrupted', fact.atMs);
      else if (fact?.kind === 'left_queue') turns.leftQueue(fact.prompt);
    }
    if (!turns.isOpen) usage.flush();
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
    },
  };
}
