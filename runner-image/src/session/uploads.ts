/** Stores objects through presigned PUTs: wishes ride on batches, grants come with acks, and a lost one is asked for again. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../../shared/clock.ts';
import type { UploadGrant, UploadWish } from '../../../shared/frames.ts';
import {
  UPLOAD_GRANT_WAIT_MS,
  UPLOAD_PUT_TIMEOUT_MS,
  UPLOAD_RETRY_MS,
  UPLOAD_TRIES_MAX,
} from '../../../shared/limits.ts';
import type { Log } from '../log.ts';

export type UploadKind = UploadWish['kind'];

export type Stored =
  | { readonly kind: 'stored'; readonly key: string; readonly sha256: string; readonly sizeBytes: number }
  /** Nothing is lost but the object: its bytes are not under any key an event may name. */
  | { readonly kind: 'failed'; readonly why: string };

/** PUT of `body` with exactly `headers`; the status, or why there was none. */
export type PutObject = (
  url: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
) => Promise<{ kind: 'answer'; status: number } | { kind: 'failed'; why: string }>;

export interface UploadsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly put: PutObject;
  /** Hands a wish to the outbox. */
  readonly wish: (wish: UploadWish, isUrgent: boolean) => void;
}

interface Waiting {
  readonly wish: UploadWish;
  readonly body: Uint8Array;
  readonly sha256: string;
  readonly settle: (stored: Stored) => void;
  tries: number;
  /** The same bytes may have arrived before: then a 412 is our own success. */
  wasSent: boolean;
  cancel: () => void;
}

const nameOf = ({ kind, number }: Pick<UploadWish, 'kind' | 'number'>): string => `${kind} ${number}`;

export class Uploads {
  readonly #options: UploadsOptions;
  readonly #waiting = new Map<string, Waiting>();
  #isClosed = false;

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  /** Resolves when the object is stored or given up. `number` is never used twice for other bytes. */
  store(kind: UploadKind, number: number, body: Uint8Array, isUrgent: boolean): Promise<Stored> {
    if (this.#isClosed) return Promise.resolve({ kind: 'failed', why: 'the session is over' });
    const digest = createHash('sha256').update(body).digest();
    const wish: UploadWish = { kind, number, sizeBytes: body.length, sha256Base64: digest.toString('base64') };
    const done = Promise.withResolvers<Stored>();
    const waiting: Waiting = {
      wish,
      body,
      sha256: digest.toString('hex'),
      settle: done.resolve,
      tries: 0,
      wasSent: false,
      cancel: () => {},
    };
    this.#waiting.set(nameOf(wish), waiting);
    this.#ask(waiting, isUrgent);
    return done.promise;
  }

  /** Grants of an ack or a welcome; those nobody waits for are ignored. */
  onGrants(grants: readonly UploadGrant[]): void {
    for (const grant of grants) {
      const waiting = this.#waiting.get(nameOf(grant));
      if (!waiting) continue;
      waiting.cancel();
      void this.#send(waiting, grant);
    }
  }

  /** Gives up what still waits. */
  close(why: string): void {
    this.#isClosed = true;
    for (const waiting of [...this.#waiting.values()]) this.#end(waiting, { kind: 'failed', why });
  }

  #ask(waiting: Waiting, isUrgent: boolean): void {
    if (waiting.tries >= UPLOAD_TRIES_MAX) {
      this.#end(waiting, { kind: 'failed', why: `not stored after ${UPLOAD_TRIES_MAX} tries` });
      return;
    }
    waiting.tries += 1;
    // The ack that carried the last grant may have been lost.
    this.#options.wish(waiting.wish, isUrgent);
    waiting.cancel = this.#options.clock.after(UPLOAD_GRANT_WAIT_MS, () => this.#ask(waiting, true));
  }

  async #send(waiting: Waiting, grant: UploadGrant): Promise<void> {
    const answer = await this.#options.put(grant.url, grant.headers, waiting.body);
    if (!this.#waiting.has(nameOf(waiting.wish))) return;
    const { sha256, wish } = waiting;
    if (answer.kind === 'answer' && (answer.status === 200 || (answer.status === 412 && waiting.wasSent))) {
      this.#end(waiting, { kind: 'stored', key: grant.key, sha256, sizeBytes: wish.sizeBytes });
      return;
    }
    if (answer.kind === 'answer' && answer.status === 412) {
      this.#end(waiting, { kind: 'failed', why: 'another object has this name' });
      return;
    }
    waiting.wasSent = true;
    const why = answer.kind === 'answer' ? `status ${answer.status}` : answer.why;
    this.#options.log.warn('an upload failed and is tried again', { kind: wish.kind, number: wish.number, why });
    waiting.cancel = this.#options.clock.after(UPLOAD_RETRY_MS * waiting.tries, () => this.#ask(waiting, true));
  }

  #end(waiting: Waiting, stored: Stored): void {
    waiting.cancel();
    this.#waiting.delete(nameOf(waiting.wish));
    waiting.settle(stored);
  }
}

/** `fetch` sets these itself. */
const OWN_HEADERS = new Set(['host', 'content-length', 'connection']);

export const fetchPut: PutObject = async (url, headers, body) => {
  const sent = Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN_HEADERS.has(name.toLowerCase())));
  try {
    const signal = AbortSignal.timeout(UPLOAD_PUT_TIMEOUT_MS);
    const answer = await fetch(url, { method: 'PUT', headers: sent, body: Buffer.from(body), signal });
    await answer.arrayBuffer();
    return { kind: 'answer', status: answer.status };
  } catch (error) {
    // A cut connection and a time-out are retried alike; the address holds a signature and is not told.
    return { kind: 'failed', why: error instanceof Error ? error.name : 'unknown' };
  }
};
