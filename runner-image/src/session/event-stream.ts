/** The session's durable events on their way: numbered, journaled, batched by the outbox, sent while there is a line. */
import type { Clock } from '../../../shared/clock.ts';
import type { EventDraft } from '../../../shared/events.ts';
import type { UploadWish } from '../../../shared/frames.ts';
import { JOURNAL_MAX_BYTES } from '../../../shared/limits.ts';
import type { Log } from '../log.ts';
import type { Disk } from '../transport/disk.ts';
import { type Journal, openJournal } from '../transport/journal.ts';
import { type AckFrame, type NackFrame, type NackResult, Outbox } from '../transport/outbox.ts';
import { type EventIdentity, envelopeOf } from './event-recorder.ts';

export interface EventStreamOptions {
  readonly identity: EventIdentity;
  readonly capability: string;
  readonly journalPath: string;
  readonly disk?: Disk | undefined;
  readonly clock: Clock;
  /** Milliseconds that also pass while the machine sleeps: what the lease is counted in. */
  readonly bootMs: () => number;
  readonly log: Log;
  /** `false` while there is no connection. */
  readonly send: (frame: string) => boolean;
  readonly offset: () => number;
  /** A batch that first left at this time (bootMs) was acknowledged. */
  readonly onProven: (sentAtMs: number) => void;
  readonly onOver: (reason: 'stale_epoch' | 'closed') => void;
  readonly onBroken: (why: string) => void;
  /** The journal has no room left (true), or has again. */
  readonly onFull: (isFull: boolean) => void;
}

export class EventStream {
  readonly #options: EventStreamOptions;
  readonly #journal: Journal;
  readonly #outbox: Outbox;
  readonly #waiters = new Set<() => void>();
  #batchesAcked = 0;
  #isUp = false;
  #isFull = false;
  #isBroken = false;
  #cancel: () => void = () => {};

  constructor(options: EventStreamOptions) {
    const { journal, state } = openJournal(options.journalPath, options.disk);
    const { sessionId, epoch } = options.identity;
    this.#options = options;
    this.#journal = journal;
    this.#outbox = new Outbox({ sessionId, epoch, capability: options.capability, journal, restored: state });
  }

  get nextRseq(): number {
    return this.#outbox.nextRseq;
  }

  /** Batches acknowledged to this process. */
  get batchesAcked(): number {
    return this.#batchesAcked;
  }

  /** Records events for good: once this returns, a crash of the runner does not lose them. Those that fit leave in one batch. */
  record(...drafts: readonly EventDraft[]): void {
    const { identity, clock, offset, bootMs, log } = this.#options;
    for (const draft of drafts) {
      const place = { rseq: this.#outbox.nextRseq, ts: clock.nowMs(), offset: offset() };
      const event = envelopeOf(identity, place, draft);
      if (event.type !== draft.type) log.warn('an event did not fit and was replaced', { type: draft.type });
      this.#outbox.add(event, bootMs());
    }
    this.#checkRoom();
    this.#pump();
  }

  wish(wish: UploadWish, isUrgent: boolean): void {
    this.#outbox.wish(wish, this.#options.bootMs(), isUrgent);
    this.#pump();
  }

  setWatched(isWatched: boolean): void {
    this.#outbox.setWatched(isWatched);
    this.#pump();
  }

  flush(heartbeat = false): void {
    this.#outbox.flush(heartbeat);
    this.#pump();
  }

  onAck(ack: AckFrame): void {
    const result = this.#outbox.onAck(ack);
    if (result.kind === 'acked') {
      this.#batchesAcked += 1;
      this.#checkRoom();
      this.#options.onProven(result.sentAtMs);
    }
    this.#settled();
  }

  onNack(nack: NackFrame): void {
    this.#follow(this.#outbox.onNack(nack, this.#options.bootMs()));
  }

  /** The line is up and the control plane said what it has. */
  onWelcome(ackedRseq: number): void {
    this.#isUp = true;
    this.#follow(this.#outbox.onWelcome(ackedRseq));
  }

  onDown(): void {
    this.#isUp = false;
    this.#cancel();
  }

  /** Resolves with true once everything recorded is acknowledged, with false after `maxMs` or when that cannot come. */
  drained(maxMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isDrained: boolean): void => {
        cancel();
        this.#waiters.delete(look);
        resolve(isDrained);
      };
      const look = (): void => {
        if (this.#outbox.isDrained) end(true);
        else if (this.#isBroken) end(false);
      };
      const cancel = this.#options.clock.after(maxMs, () => end(false));
      this.#waiters.add(look);
      look();
    });
  }

  /** No line will come any more: nobody waits for acknowledgements from here on. */
  giveUp(): void {
    this.#isBroken = true;
    this.#settled();
  }

  /** Ends sending; the journal stays on disk unless `remove`. */
  close(remove: boolean): void {
    this.onDown();
    if (remove) this.#journal.remove();
    else this.#journal.close();
  }

  #follow(result: NackResult): void {
    if (result.kind === 'over') {
      this.#isBroken = true;
      this.#options.onOver(result.reason);
    } else if (result.kind === 'broken') {
      this.#isBroken = true;
      this.#options.onBroken(result.why);
    }
    this.#settled();
  }

  #settled(): void {
    this.#pump();
    for (const look of [...this.#waiters]) look();
  }

  #pump(): void {
    this.#cancel();
    if (!this.#isUp || this.#isBroken) return;
    const { bootMs, clock, send } = this.#options;
    for (;;) {
      const nowMs = bootMs();
      const step = this.#outbox.next(nowMs);
      if (step.kind === 'wait') {
        this.#cancel = clock.after(Math.max(1, step.atMs - nowMs), () => this.#pump());
        return;
      }
      if (!send(step.batch.frame)) {
        // The welcome of the next connection brings it up again, and the batch leaves at once.
        this.#isUp = false;
        return;
      }
    }
  }

  #checkRoom(): void {
    const isFull = this.#journal.liveBytes > JOURNAL_MAX_BYTES;
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    this.#options.onFull(isFull);
  }
}
