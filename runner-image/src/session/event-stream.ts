/** The session's durable events on their way: numbered, journaled, batched by the outbox, sent while there is a line. */
import type { Clock } from '../../../shared/clock.ts';
import type { EventDraft } from '../../../shared/events.ts';
import type { UploadWish } from '../../../shared/frames.ts';
import { DISK_RETRY_MS, JOURNAL_MAX_BYTES, LATE_ANSWER_MS } from '../../../shared/limits.ts';
import type { Log } from '../log.ts';
import { type Disk, isDiskFull } from '../transport/disk.ts';
import { type Journal, openJournal } from '../transport/journal.ts';
import { type AckFrame, type NackFrame, type NackResult, Outbox, type OutboxStep } from '../transport/outbox.ts';
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
  /** The place of the last event before a crash: until the terminal is read again none lies before it. */
  readonly fromOffset?: number;
  /** Events wait to be recorded (the disk is full). */
  readonly hasMore?: () => boolean;
  /** A batch that first left at this time (bootMs) was acknowledged. */
  readonly onProven: (sentAtMs: number) => void;
  readonly onOver: (reason: 'stale_epoch' | 'closed') => void;
  readonly onBroken: (why: string) => void;
  /** The journal has no room left (true), or has again. */
  readonly onFull: (isFull: boolean) => void;
}

/** An event that is about to be recorded, with when and where it happened. */
export interface PlacedDraft {
  readonly ts: number;
  readonly offset: number;
  readonly draft: EventDraft;
}

export class EventStream {
  readonly #options: EventStreamOptions;
  readonly #journal: Journal;
  readonly #outbox: Outbox;
  readonly #waiters = new Set<() => void>();
  #batchesAcked = 0;
  #isUp = false;
  #isFull = false;
  #isLate = false;
  #isBroken = false;
  #isGivenUp = false;
  #lastOffset: number;
  #cancel: () => void = () => {};

  constructor(options: EventStreamOptions) {
    const { journal, state } = openJournal(options.journalPath, options.disk);
    const { sessionId, epoch } = options.identity;
    this.#options = options;
    this.#journal = journal;
    this.#lastOffset = Math.max(options.fromOffset ?? 0, state.events.at(-1)?.offset ?? 0);
    this.#outbox = new Outbox({ sessionId, epoch, capability: options.capability, journal, restored: state });
  }

  get nextRseq(): number {
    return this.#outbox.nextRseq;
  }

  /** Control plane and journal disagree, or nobody keeps what is left: nothing is sent any more. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Batches acknowledged to this process. */
  get batchesAcked(): number {
    return this.#batchesAcked;
  }

  get lastOffset(): number {
    return this.#lastOffset;
  }

  /** Gives the event its place, which never goes back. */
  placed(draft: EventDraft): PlacedDraft {
    const { clock, offset } = this.#options;
    this.#lastOffset = Math.max(this.#lastOffset, offset());
    return { ts: clock.nowMs(), offset: this.#lastOffset, draft };
  }

  /**
   * Records events for good: once this returns, a crash of the runner does not lose them. Those that fit leave in one batch.
   * Takes them out of the list one by one: when it throws (a full disk), the rest can be recorded later.
   */
  record(events: PlacedDraft[]): void {
    const { identity, bootMs, log } = this.#options;
    for (let next = events[0]; next !== undefined; next = events[0]) {
      const { draft, ts, offset } = next;
      const event = envelopeOf(identity, { rseq: this.#outbox.nextRseq, ts, offset }, draft);
      if (event.type !== draft.type) log.warn('an event did not fit and was replaced', { type: draft.type });
      this.#outbox.add(event, bootMs());
      events.shift();
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
      // What is kept beside the log of a closed epoch proves no lease.
      if (!this.#isLate) this.#options.onProven(result.sentAtMs);
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

  /** The epoch is over elsewhere: what is recorded is kept beside its log, batch by batch, as long as that is answered. */
  becomeLate(): void {
    if (this.#isLate) return;
    this.#isLate = true;
    this.#isGivenUp = false;
    this.#outbox.becomeLate();
    this.#settled();
  }

  /** What was recorded and what is stored do not fit: nothing is sent any more. */
  breakOff(why: string): void {
    this.#follow({ kind: 'broken', why });
  }

  /**
   * Resolves with true once everything recorded is acknowledged or kept, with false after `maxMs` or when that cannot come; late also when
   * an answer does not come.
   */
  drained(maxMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const { clock } = this.#options;
      const end = (isDrained: boolean): void => {
        cancel();
        quiet.cancel();
        this.#waiters.delete(look);
        resolve(isDrained);
      };
      const look = (): void => {
        const { ackedRseq } = this.#outbox;
        if (this.#outbox.isDrained && this.#options.hasMore?.() !== true) end(true);
        else if (this.#isBroken || this.#isGivenUp) end(false);
        else if (this.#isLate && quiet.ackedRseq !== ackedRseq) {
          quiet.cancel();
          quiet = { ackedRseq, cancel: clock.after(LATE_ANSWER_MS, () => end(false)) };
        }
      };
      let quiet = { ackedRseq: -1, cancel: (): void => {} };
      const cancel = clock.after(maxMs, () => end(false));
      this.#waiters.add(look);
      look();
    });
  }

  /** No line will come any more: nobody waits for acknowledgements from here on. */
  giveUp(): void {
    this.#isGivenUp = true;
    this.#settled();
  }

  /** Ends sending; the journal stays on disk unless `remove`. */
  close(remove: boolean): void {
    this.onDown();
    if (remove) this.#journal.remove();
    else this.#journal.close();
  }

  #follow(result: NackResult): void {
    const { log, onOver, onBroken } = this.#options;
    if (result.kind === 'over' && !this.#isLate) {
      // First what kills; what is late may wait.
      onOver(result.reason);
      this.becomeLate();
    } else if (result.kind === 'broken' && !this.#isBroken) {
      this.#isBroken = true;
      if (this.#isLate) log.warn('the rest of the events is not kept', { why: result.why });
      else onBroken(result.why);
    }
    this.#settled();
  }

  #settled(): void {
    this.#pump();
    for (const look of [...this.#waiters]) look();
  }

  #pump(): void {
    this.#cancel();
    if (!this.#isUp || this.#isBroken || this.#isGivenUp) return;
    const { bootMs, clock, send } = this.#options;
    for (;;) {
      const nowMs = bootMs();
      let step: OutboxStep;
      try {
        step = this.#outbox.next(nowMs);
      } catch (error) {
        // A batch that cannot be journaled must not leave; its events are safe.
        if (!isDiskFull(error)) throw error;
        this.#cancel = clock.after(DISK_RETRY_MS, () => this.#pump());
        return;
      }
      if (step.kind === 'wait') {
        if (Number.isFinite(step.atMs)) this.#cancel = clock.after(Math.max(1, step.atMs - nowMs), () => this.#pump());
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
