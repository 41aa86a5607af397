/** How a session's state and its events go to the disk: secrets masked, the state first with the events that belong to it, nothing overtaking. */
import type { EventDraft } from '../../../shared/events.ts';
import type { Disk } from '../transport/disk.ts';
import type { DiskGate } from './disk-gate.ts';
import { maskedEvent } from './event-masks.ts';
import type { EventStream, PlacedDraft } from './event-stream.ts';
import { type DueEvents, type SavedSession, saveSession } from './saved-session.ts';

export interface SessionRecordOptions {
  /** Of the saved session. */
  readonly path: string;
  readonly disk?: Disk | undefined;
  readonly gate: DiskGate;
  readonly events: EventStream;
  /** The state as it is now. */
  readonly saved: () => Omit<SavedSession, 'due'>;
  /** No number below it is free, whatever the journal holds. */
  readonly fromRseq: number;
  readonly secrets: readonly string[];
}

export class SessionRecord {
  readonly #options: SessionRecordOptions;
  #secrets: readonly string[];

  constructor(options: SessionRecordOptions) {
    this.#options = options;
    this.#secrets = options.secrets;
  }

  /** From here on no event shows one of these. */
  hide(secrets: readonly string[]): void {
    this.#secrets = secrets;
  }

  /** The only way into the log: an event that held a secret is preceded by one that says so. */
  placed(drafts: readonly EventDraft[]): PlacedDraft[] {
    const masked = drafts.flatMap((draft): EventDraft[] => {
      const { event, count } = maskedEvent(draft, this.#secrets);
      return count === 0 ? [event] : [{ type: 'secret_redacted', count, where: 'event' }, event];
    });
    return masked.map((draft) => this.#options.events.placed(draft));
  }

  /** `isSaved`: the events belong to the state as it is now, and after a crash it has them all behind it, each once. */
  write(placed: readonly PlacedDraft[], isSaved: boolean): void {
    const { path, disk, gate, events, fromRseq } = this.#options;
    if (isSaved) {
      const saved = this.#options.saved();
      const due = [...placed];
      // A journal that was lost counts from the beginning: the next process must find it lost too.
      const rseq = () => Math.max(fromRseq, events.nextRseq);
      gate.run(() => saveSession(path, { ...saved, due: { rseq: rseq(), events: due } }, disk));
    }
    const rest = [...placed];
    if (rest.length > 0) gate.run(() => events.record(rest));
  }

  /** After a crash: records what the process before this one had saved as due and not recorded any more. */
  recordDue({ rseq, events: due }: DueEvents): void {
    this.write(due.slice(Math.max(0, this.#options.events.nextRseq - rseq)), false);
  }
}
