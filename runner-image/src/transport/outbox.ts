/**
 * Decides what leaves next for one session: one immutable batch in flight, resent as the same bytes until it is
 * acknowledged. It does no I/O besides its journal and knows no socket: time is handed in, frames are handed out.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { batchDigestInput } from '../../../shared/batch.ts';
import {
  type EventEnvelope,
  type EventType,
  QUIET_EVENTS,
  ROW_EVENTS,
  URGENT_EVENTS,
  URGENT_WATCHED_EVENTS,
} from '../../../shared/events.ts';
import type { ControlToRunnerFrame, FrameOf, UploadWish } from '../../../shared/frames.ts';
import {
  BATCH_MAX_BYTES,
  BATCH_MAX_EVENTS,
  BATCH_MAX_ROW_EVENTS,
  HEARTBEAT_MS,
  LINGER_UNWATCHED_MS,
  LINGER_WATCHED_MS,
  RESEND_FIRST_MS,
  RESEND_MAX_MS,
  UPLOAD_GRANTS_AHEAD,
} from '../../../shared/limits.ts';
import { isFinal, SessionState } from '../../../shared/session.ts';
import type { Journal, JournalState } from './journal.ts';

export type AckFrame = FrameOf<ControlToRunnerFrame, 'ack'>;
export type NackFrame = FrameOf<ControlToRunnerFrame, 'nack'>;

export interface Batch {
  readonly firstRseq: number;
  /** `firstRseq - 1` for a heartbeat or a wish. */
  readonly lastRseq: number;
  /** The frame as it leaves, every time. */
  readonly frame: string;
}

/** `atMs`: when to ask again if nothing happens before; infinite where nothing is left to do. */
export type OutboxStep =
  | { readonly kind: 'send'; readonly batch: Batch }
  | { readonly kind: 'wait'; readonly atMs: number };

export type AckResult =
  | { readonly kind: 'ignored' }
  /** `sentAtMs`: when the batch first left, the safe beginning of the lease. */
  | { readonly kind: 'acked'; readonly ackedRseq: number; readonly sentAtMs: number };

export type NackResult =
  | { readonly kind: 'ignored' }
  | { readonly kind: 'resend' }
  /** The epoch is over: the session must die. */
  | { readonly kind: 'over'; readonly reason: 'stale_epoch' | 'closed' }
  /** Control plane and journal disagree about what was sent: nothing sent from here on could be trusted. */
  | { readonly kind: 'broken'; readonly why: string };

export interface OutboxOptions {
  readonly sessionId: string;
  readonly epoch: number;
  readonly capability: string;
  readonly journal: Journal;
  readonly restored: JournalState;
}

interface Flying extends Batch {
  /** A closed epoch answered and did not keep it. */
  wasRefused: boolean;
  firstSentMs: number | null;
  resendAtMs: number;
  resendMs: number;
}

const isRow = (event: EventEnvelope): boolean => ROW_EVENTS.has(event.type as EventType);
const isUrgent = (event: EventEnvelope, isWatched: boolean): boolean =>
  URGENT_EVENTS.has(event.type as EventType) || (isWatched && URGENT_WATCHED_EVENTS.has(event.type as EventType));

const FinalChange = z.looseObject({ toState: SessionState.refine(isFinal) });
/** The control plane closes the epoch with the batch that holds it, and takes nothing after it: `session_ended` must be in the same. */
const isFinalChange = (event: EventEnvelope | undefined): boolean =>
  event?.type === 'session_state_changed' && FinalChange.safeParse(event).success;

/** The longest beginning of `events` that one batch may carry. */
export const takeBatch = (events: readonly EventEnvelope[]): EventEnvelope[] => {
  const taken: EventEnvelope[] = [];
  let sizeBytes = 0;
  let rows = 0;
  for (const event of events) {
    sizeBytes += Buffer.byteLength(JSON.stringify(event)) + 1;
    rows += isRow(event) ? 1 : 0;
    const fits = sizeBytes <= BATCH_MAX_BYTES && rows <= BATCH_MAX_ROW_EVENTS && taken.length < BATCH_MAX_EVENTS;
    if (!fits && taken.length > 0) break;
    taken.push(event);
  }
  const isParted = taken.length > 1 && taken.length < events.length && isFinalChange(taken.at(-1));
  return isParted ? taken.slice(0, -1) : taken;
};

export const batchDigest = (identity: Parameters<typeof batchDigestInput>[0]): string =>
  createHash('sha256').update(batchDigestInput(identity)).digest('hex');

/** Restores from `restored`: a batch that may have left before the restart leaves again unchanged. */
export class Outbox {
  readonly #options: OutboxOptions;
  #nextRseq: number;
  #ackedRseq: number;
  #pending: EventEnvelope[];
  /** A final state whose `session_ended` is still to be recorded. */
  #held: EventEnvelope | null = null;
  #wishes: UploadWish[] = [];
  #flying: Flying | null = null;
  #isWatched = false;
  #isDue: boolean;
  #wantsHeartbeat = false;
  #isLate = false;
  #pendingSinceMs: number | null = null;
  /** The same of what somebody who watches would see. */
  #shownSinceMs: number | null = null;
  #lastSentMs: number | null = null;
  /** Answers to empty batches that may still come: they name the number under which events follow. */
  #emptySent = { firstRseq: 0, unanswered: 0 };

  constructor(options: OutboxOptions) {
    const { nextRseq, ackedRseq, events, sealed } = options.restored;
    this.#options = options;
    this.#nextRseq = nextRseq;
    this.#ackedRseq = ackedRseq;
    this.#pending = [...events];
    const last = this.#pending.at(-1);
    if (last !== undefined && last.rseq > (sealed?.lastRseq ?? 0) && isFinalChange(last)) {
      this.#held = last;
      this.#pending.pop();
    }
    this.#isDue = this.#pending.length > 0;
    if (sealed) {
      const sent = events.filter((event) => event.rseq >= sealed.firstRseq && event.rseq <= sealed.lastRseq);
      this.#flying = this.#fly(sent, sealed.firstRseq, sealed.uploads);
    }
  }

  get nextRseq(): number {
    return this.#nextRseq;
  }

  get ackedRseq(): number {
    return this.#ackedRseq;
  }

  /** Nothing waits and nothing is in flight. */
  get isDrained(): boolean {
    const isEmpty = this.#pending.length === 0 && this.#held === null && this.#wishes.length === 0;
    return this.#flying === null && isEmpty;
  }

  /** Journals the event; it leaves by the linger rules. Throws when the journal cannot be written. */
  add(event: EventEnvelope, nowMs: number): void {
    this.#options.journal.append(event);
    this.#nextRseq = event.rseq + 1;
    if (this.#held === null && isFinalChange(event) && !this.#isLate) {
      this.#held = event;
      return;
    }
    if (this.#held !== null) {
      this.#pending.push(this.#held);
      this.#isDue = true;
      this.#held = null;
    }
    this.#pending.push(event);
    this.#pendingSinceMs ??= nowMs;
    if (!QUIET_EVENTS.has(event.type as EventType)) this.#shownSinceMs ??= nowMs;
    if (isUrgent(event, this.#isWatched)) this.#isDue = true;
  }

  /** The wish rides on the next batch; an urgent one does not wait for events. */
  wish(wish: UploadWish, nowMs: number, isUrgentWish: boolean): void {
    if (this.#isLate) return;
    // Asked for again while the line was down it still waits here, or flies.
    const isKnown = this.#wishes.some(({ kind, number }) => kind === wish.kind && number === wish.number);
    if (!isKnown) this.#wishes.push(wish);
    this.#pendingSinceMs ??= nowMs;
    if (isUrgentWish) this.#isDue = true;
  }

  setWatched(isWatched: boolean): void {
    this.#isWatched = isWatched;
  }

  /** What waits leaves now; with `heartbeat` an empty batch does when nothing waits: one in flight proves the same. */
  flush(heartbeat = false): void {
    const lastSentRseq = this.#flying?.lastRseq ?? this.#ackedRseq;
    this.#wantsHeartbeat ||= heartbeat && this.#flying === null && !this.#isLate;
    this.#isDue ||= this.#wantsHeartbeat || this.#wishes.length > 0 || this.#nextRseq - 1 > lastSentRseq;
  }

  /** The epoch is over elsewhere, and keeps only events from here on: each batch leaves once the one before is kept. */
  becomeLate(): void {
    this.#isLate = true;
    this.#wishes = [];
    this.#wantsHeartbeat = false;
    if (this.#flying !== null && this.#flying.lastRseq < this.#flying.firstRseq) this.#flying = null;
    if (this.#held !== null) this.#pending.push(this.#held);
    this.#held = null;
  }

  /** What to do now. A `send` counts as done: its frame must go out, or be lost like any other frame. */
  next(nowMs: number): OutboxStep {
    if (this.#flying === null) {
      const atMs = this.#dueAtMs(nowMs);
      if (atMs > nowMs) return { kind: 'wait', atMs };
      this.#flying = this.#seal();
      this.#wantsHeartbeat = false;
      // What did not fit into this batch follows as soon as it is acknowledged.
      this.#isDue = this.#flying.lastRseq < this.#nextRseq - 1 || this.#wishes.length > 0;
      this.#pendingSinceMs = this.#isDue ? nowMs : null;
      this.#shownSinceMs = null;
    }
    const flying = this.#flying;
    if (nowMs < flying.resendAtMs) return { kind: 'wait', atMs: flying.resendAtMs };
    flying.firstSentMs ??= nowMs;
    flying.resendAtMs = nowMs + flying.resendMs;
    flying.resendMs = Math.min(flying.resendMs * 2, RESEND_MAX_MS);
    this.#lastSentMs = nowMs;
    this.#noteSent(flying);
    return { kind: 'send', batch: flying };
  }

  onAck(ack: AckFrame): AckResult {
    const flying = this.#flying;
    this.#noteAnswer(ack);
    if (ack.epoch !== this.#options.epoch || flying?.firstSentMs == null) return { kind: 'ignored' };
    // A late answer to an empty batch names the same firstRseq as the events that followed it.
    if (ack.firstRseq !== flying.firstRseq || ack.ackedRseq < flying.lastRseq) return { kind: 'ignored' };
    const sentAtMs = flying.firstSentMs;
    this.#settle(flying.lastRseq);
    return { kind: 'acked', ackedRseq: this.#ackedRseq, sentAtMs };
  }

  onNack(nack: NackFrame, nowMs: number): NackResult {
    const flying = this.#flying;
    if (nack.epoch !== this.#options.epoch) return { kind: 'ignored' };
    const mayBeStray = this.#noteAnswer(nack);
    if (nack.reason === 'stale_epoch' || nack.reason === 'closed') {
      // A closed epoch still keeps what comes: its last batch sent again (the ack was lost), and late truth beside the stream.
      const isSent = flying?.firstSentMs != null && nack.firstRseq === flying.firstRseq;
      if (isSent && flying.lastRseq >= flying.firstRseq) {
        if (nack.expected > flying.lastRseq) this.#settle(flying.lastRseq);
        // The answer to an empty batch, which has the same number, keeps nothing either: it is asked once more after each of those, and once beside.
        else if (mayBeStray) flying.resendAtMs = nowMs;
        else if (flying.wasRefused)
          return { kind: 'broken', why: `batch ${nack.firstRseq} of a closed epoch is not kept` };
        else Object.assign(flying, { wasRefused: true, resendAtMs: nowMs });
      }
      return { kind: 'over', reason: nack.reason };
    }
    if (flying === null || nack.firstRseq !== flying.firstRseq) return { kind: 'ignored' };
    if (nack.reason !== 'gap') return { kind: 'broken', why: `batch ${nack.firstRseq} was refused: ${nack.reason}` };
    if (nack.expected > this.#nextRseq) return { kind: 'broken', why: 'the journal was lost' };
    if (nack.expected > flying.lastRseq && nack.expected > flying.firstRseq) {
      this.#settle(nack.expected - 1);
      return { kind: 'resend' };
    }
    if (nack.expected !== flying.firstRseq)
      return { kind: 'broken', why: `event ${nack.expected} is expected, but ${flying.firstRseq} is the first kept` };
    flying.resendAtMs = nowMs + flying.resendMs;
    return { kind: 'resend' };
  }

  /** After a reconnect: takes what the control plane has; the batch in flight leaves again at once. */
  onWelcome(upTo: number): NackResult {
    const flying = this.#flying;
    if (upTo >= this.#nextRseq) return { kind: 'broken', why: 'the journal was lost' };
    if (upTo > this.#ackedRseq) {
      if (flying !== null && upTo >= flying.firstRseq && upTo < flying.lastRseq)
        return { kind: 'broken', why: `batch ${flying.firstRseq} was stored in part` };
      this.#settle(upTo);
    }
    if (this.#flying) this.#flying.resendAtMs = 0;
    return { kind: 'resend' };
  }

  #noteSent({ firstRseq, lastRseq }: Flying): void {
    if (lastRseq >= firstRseq) return;
    const unanswered = this.#emptySent.firstRseq === firstRseq ? this.#emptySent.unanswered : 0;
    this.#emptySent = { firstRseq, unanswered: unanswered + 1 };
  }

  /** @returns whether it may be the answer to an empty batch; those that were lost leave the count too high, which only asks more often */
  #noteAnswer({ epoch, firstRseq }: AckFrame | NackFrame): boolean {
    const sent = this.#emptySent;
    if (epoch !== this.#options.epoch || firstRseq !== sent.firstRseq || sent.unanswered === 0) return false;
    sent.unanswered -= 1;
    return true;
  }

  #dueAtMs(nowMs: number): number {
    if (this.#isLate) return this.#pending.length > 0 ? nowMs : Number.POSITIVE_INFINITY;
    const hasSomething = this.#pending.length > 0 || this.#wishes.length > 0 || this.#wantsHeartbeat;
    if (this.#isDue && hasSomething) return nowMs;
    const after = (sinceMs: number | null, ms: number) => (sinceMs === null ? Number.POSITIVE_INFINITY : sinceMs + ms);
    const shownAtMs = this.#isWatched ? after(this.#shownSinceMs, LINGER_WATCHED_MS) : Number.POSITIVE_INFINITY;
    const lingerAtMs = Math.min(shownAtMs, after(this.#pendingSinceMs, LINGER_UNWATCHED_MS));
    return Math.min(lingerAtMs, (this.#lastSentMs ?? nowMs) + HEARTBEAT_MS);
  }

  #seal(): Flying {
    const events = takeBatch(this.#pending);
    const firstRseq = events[0]?.rseq ?? this.#nextRseq;
    const uploads = this.#wishes.slice(0, UPLOAD_GRANTS_AHEAD);
    const sealed = this.#fly(events, firstRseq, uploads);
    this.#options.journal.seal({ firstRseq, lastRseq: sealed.lastRseq, uploads });
    this.#wishes = this.#wishes.slice(uploads.length);
    return sealed;
  }

  #fly(events: EventEnvelope[], firstRseq: number, uploads: readonly UploadWish[]): Flying {
    const { sessionId, epoch, capability } = this.#options;
    const digest = batchDigest({ sessionId, epoch, firstRseq, events });
    const body = { type: 'runner_events', capability, sessionId, epoch, firstRseq, events, digest, uploads };
    const lastRseq = firstRseq + events.length - 1;
    const frame = JSON.stringify(body);
    const unsent = { wasRefused: false, firstSentMs: null, resendAtMs: 0, resendMs: RESEND_FIRST_MS };
    return { firstRseq, lastRseq, frame, ...unsent };
  }

  #settle(upTo: number): void {
    this.#ackedRseq = Math.max(this.#ackedRseq, upTo);
    this.#options.journal.acked(this.#ackedRseq);
    this.#pending = this.#pending.filter((event) => event.rseq > this.#ackedRseq);
    this.#flying = null;
  }
}
