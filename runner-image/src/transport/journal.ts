/**
 * The events of one epoch on disk until they are acknowledged, so that a crash of the runner loses none. Each record is
 * handed to the kernel (write(2)) before the event counts as recorded and is not fsynced: the file serves a restarted
 * runner on a living host, and a host that dies takes the CLI and this disk with it. Only a rewrite is fsynced, before it
 * takes the old file's place. A full disk refuses an event with the file as it was; what was acknowledged can be forgotten.
 */
import { z } from 'zod';
import { EventEnvelope } from '../../../shared/events.ts';
import { UploadWish } from '../../../shared/frames.ts';
import { type AppendFile, type Disk, isDiskFull, realDisk } from './disk.ts';

const rseq = z.int().min(0);
const Record = z.discriminatedUnion('k', [
  /** What a compaction begins the file with. */
  z.strictObject({ k: z.literal('head'), nextRseq: rseq, ackedRseq: rseq }),
  z.strictObject({ k: z.literal('event'), event: EventEnvelope }),
  /** A batch that may have been sent: after a restart the same bytes must be sent again. */
  z.strictObject({ k: z.literal('batch'), firstRseq: rseq, lastRseq: rseq, uploads: z.array(UploadWish) }),
  z.strictObject({ k: z.literal('acked'), ackedRseq: rseq }),
]);
type Record = z.infer<typeof Record>;

export interface SealedBatch {
  readonly firstRseq: number;
  /** `firstRseq - 1` for a batch without events. */
  readonly lastRseq: number;
  readonly uploads: readonly UploadWish[];
}

export interface JournalState {
  readonly nextRseq: number;
  readonly ackedRseq: number;
  /** Unacknowledged events, in order. */
  readonly events: readonly EventEnvelope[];
  readonly sealed: SealedBatch | null;
}

export interface Journal {
  /** Bytes of unacknowledged records; the session freezes beyond JOURNAL_MAX_BYTES. */
  readonly liveBytes: number;
  append(event: EventEnvelope): void;
  seal(batch: SealedBatch): void;
  /** Forgets events up to `ackedRseq`; rewrites the file once most of it is dead. */
  acked(ackedRseq: number): void;
  close(): void;
  remove(): void;
}

/** Dead bytes below which a rewrite is not worth it. */
const COMPACT_MIN_DEAD_BYTES = 256 * 1024;

const empty = (): JournalState => ({ nextRseq: 1, ackedRseq: 0, events: [], sealed: null });

const applied = (state: JournalState, record: Record): JournalState | undefined => {
  switch (record.k) {
    case 'head':
      return { ...empty(), nextRseq: record.nextRseq, ackedRseq: record.ackedRseq };
    case 'event':
      if (record.event.rseq !== state.nextRseq) return undefined;
      (state.events as EventEnvelope[]).push(record.event);
      return { ...state, nextRseq: state.nextRseq + 1 };
    case 'batch': {
      const { firstRseq, lastRseq, uploads } = record;
      return { ...state, sealed: { firstRseq, lastRseq, uploads } };
    }
    case 'acked':
      return {
        ...state,
        ackedRseq: Math.max(state.ackedRseq, record.ackedRseq),
        events: state.events.filter((event) => event.rseq > record.ackedRseq),
        sealed: null,
      };
  }
};

const parseLine = (line: string): Record | undefined => {
  try {
    const parsed = Record.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : undefined;
  } catch {
    // A line cut off by a crash: it is the tail, and what it held had not been sent.
    return undefined;
  }
};

/** Reads what can be trusted: everything up to the first line that is torn or out of order. */
export const readJournal = (text: string): { state: JournalState; isTorn: boolean; goodBytes: number } => {
  let state: JournalState = empty();
  let goodBytes = 0;
  const lines = text.split('\n');
  const rest = lines.pop() ?? '';
  for (const line of lines) {
    const record = parseLine(line);
    const next = record && applied(state, record);
    if (next === undefined) return { state, isTorn: true, goodBytes };
    state = next;
    goodBytes += Buffer.byteLength(line) + 1;
  }
  return { state, isTorn: rest !== '', goodBytes };
};

const lineOf = (record: Record): string => `${JSON.stringify(record)}\n`;

const wholeFile = ({ nextRseq, ackedRseq, events, sealed }: JournalState): string => {
  const first = events[0]?.rseq ?? nextRseq;
  let text = lineOf({ k: 'head', nextRseq: first, ackedRseq });
  for (const event of events) text += lineOf({ k: 'event', event });
  if (sealed) text += lineOf({ k: 'batch', ...sealed, uploads: [...sealed.uploads] });
  return text;
};

/** Opens or creates the journal at `path` (mode 0600) and says what it held. Throws when the disk refuses. */
export const openJournal = (path: string, disk: Disk = realDisk): { journal: Journal; state: JournalState } => {
  const text = disk.read(path);
  const { state, goodBytes } = text === undefined ? { state: empty(), goodBytes: 0 } : readJournal(text);
  return { journal: new FileJournal(path, disk, state, goodBytes), state };
};

class FileJournal implements Journal {
  readonly #path: string;
  readonly #disk: Disk;
  #events: { event: EventEnvelope; sizeBytes: number }[];
  #nextRseq: number;
  #ackedRseq: number;
  #sealed: SealedBatch | null;
  #liveBytes = 0;
  #fileBytes = 0;
  #file: AppendFile | null = null;
  #isCutOff = false;

  /** `goodBytes`: so much of the file holds `state`. */
  constructor(path: string, disk: Disk, state: JournalState, goodBytes: number) {
    this.#path = path;
    this.#disk = disk;
    this.#nextRseq = state.nextRseq;
    this.#ackedRseq = state.ackedRseq;
    this.#sealed = state.sealed;
    this.#events = state.events.map((event) => ({
      event,
      sizeBytes: Buffer.byteLength(lineOf({ k: 'event', event })),
    }));
    try {
      this.#rewrite();
    } catch (error) {
      if (!isDiskFull(error) || goodBytes === 0) throw error;
      // A runner that starts on a full disk goes on in the old file, behind what can be read of it.
      this.#file = disk.openAppend(path);
      this.#file.truncate(goodBytes);
      this.#fileBytes = goodBytes;
      this.#liveBytes = this.#events.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    }
  }

  get liveBytes(): number {
    return this.#liveBytes;
  }

  append(event: EventEnvelope): void {
    if (event.rseq !== this.#nextRseq) throw new Error(`journal: rseq ${event.rseq}, expected ${this.#nextRseq}`);
    const sizeBytes = this.#write({ k: 'event', event });
    this.#events.push({ event, sizeBytes });
    this.#liveBytes += sizeBytes;
    this.#nextRseq += 1;
  }

  seal(batch: SealedBatch): void {
    this.#write({ k: 'batch', ...batch, uploads: [...batch.uploads] });
    this.#sealed = batch;
  }

  acked(upTo: number): void {
    this.#ackedRseq = Math.max(this.#ackedRseq, upTo);
    this.#sealed = null;
    this.#events = this.#events.filter(({ event, sizeBytes }) => {
      if (event.rseq > this.#ackedRseq) return true;
      this.#liveBytes -= sizeBytes;
      return false;
    });
    // On a full disk this is left out: after a crash the welcome says what was acknowledged.
    try {
      this.#write({ k: 'acked', ackedRseq: this.#ackedRseq });
      const deadBytes = this.#fileBytes - this.#liveBytes;
      if (deadBytes > COMPACT_MIN_DEAD_BYTES && deadBytes > this.#liveBytes) this.#rewrite();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }

  close(): void {
    this.#file?.close();
    this.#file = null;
  }

  remove(): void {
    this.close();
    this.#disk.remove(this.#path);
  }

  #write(record: Record): number {
    if (this.#file === null) throw new Error('journal: closed');
    // What a failed write left would make everything after it unreadable.
    if (this.#isCutOff) this.#file.truncate(this.#fileBytes);
    this.#isCutOff = false;
    const bytes = Buffer.from(lineOf(record));
    try {
      this.#file.append(bytes);
    } catch (error) {
      this.#isCutOff = true;
      throw error;
    }
    this.#fileBytes += bytes.length;
    return bytes.length;
  }

  #rewrite(): void {
    const events = this.#events.map(({ event }) => event);
    const text = wholeFile({ nextRseq: this.#nextRseq, ackedRseq: this.#ackedRseq, events, sealed: this.#sealed });
    // A new one holds nothing yet: a start does not wait for the disk.
    this.#disk.replace(this.#path, text, this.#nextRseq > 1);
    this.close();
    this.#file = this.#disk.openAppend(this.#path);
    this.#isCutOff = false;
    this.#fileBytes = Buffer.byteLength(text);
    this.#liveBytes = this.#events.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }
}
