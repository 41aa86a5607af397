/** Stores objects through presigned PUTs: wishes ride on batches, grants come with acks, and a lost one is asked for again. */
import { createHash } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { type Clock, type Random, systemRandom } from '../../../shared/clock.ts';
import type { UploadGrant, UploadRefusal, UploadWish } from '../../../shared/frames.ts';
import {
  CHECKPOINT_TRANSFER_TIMEOUT_MS,
  LINGER_UNWATCHED_MS,
  UPLOAD_GRANT_WAIT_MS,
  UPLOAD_PUT_TIMEOUT_MS,
  UPLOAD_RETRY_MAX_MS,
  UPLOAD_RETRY_MS,
  UPLOAD_TRIES_MAX,
} from '../../../shared/limits.ts';
import type { StoredFile } from '../checkpoint/archive-writer.ts';
import type { Log } from '../log.ts';

export type UploadKind = UploadWish['kind'];

export type Stored =
  | { readonly kind: 'stored'; readonly key: string; readonly sha256: string; readonly sizeBytes: number }
  /** Nothing is lost but the object: its bytes are not under any key an event may name. */
  | {
      readonly kind: 'failed';
      readonly why: string;
      /** Under this number lies something else: with another one it may go well. */
      readonly isTaken?: true;
      /** These bytes are not taken, now or ever. */
      readonly isRefused?: true;
    };

/** PUT of `body` with exactly `headers`; the status, or why there was none. */
export type PutObject = (
  url: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
) => Promise<{ kind: 'answer'; status: number } | { kind: 'failed'; why: string }>;

/** The same for a file of the runner's own, streamed; it must not change meanwhile. */
export type PutFile = (url: string, headers: Readonly<Record<string, string>>, path: string) => ReturnType<PutObject>;

/** What is stored: bytes, or a file whose size and hash are known. */
export type UploadBody = Uint8Array | StoredFile;

export interface UploadsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly put: PutObject;
  /** `fetchPutFile` unless told. */
  readonly putFile?: PutFile | undefined;
  /** Hands a wish to the outbox. */
  readonly wish: (wish: UploadWish, isUrgent: boolean) => void;
  /** Spreads what failed together; a runner's own unless told. */
  readonly random?: Pick<Random, 'next'>;
}

/** Nothing takes the place of these: they are tried for as long as the session lives, however long line or store are away. */
const KEPT: ReadonlySet<UploadKind> = new Set(['transcript']);
/** The store will never take these bytes under this name; other refusals pass, or end with a new grant. */
const isFinalRefusal = (status: number): boolean => [400, 404, 405, 411, 413].includes(status);

interface Waiting {
  readonly wish: UploadWish;
  readonly body: UploadBody;
  readonly sha256: string;
  readonly settle: (stored: Stored) => void;
  tries: number;
  /** PUTs in a row that brought nothing. */
  failures: number;
  isSending: boolean;
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
  store(kind: UploadKind, number: number, body: UploadBody, isUrgent: boolean): Promise<Stored> {
    if (this.#isClosed) return Promise.resolve({ kind: 'failed', why: 'the session is over' });
    const isBytes = body instanceof Uint8Array;
    const digest = isBytes ? createHash('sha256').update(body).digest() : Buffer.from(body.sha256, 'hex');
    const sizeBytes = isBytes ? body.length : body.sizeBytes;
    const wish: UploadWish = { kind, number, sizeBytes, sha256Base64: digest.toString('base64') };
    const done = Promise.withResolvers<Stored>();
    const waiting: Waiting = {
      wish,
      body,
      sha256: digest.toString('hex'),
      settle: done.resolve,
      tries: 0,
      failures: 0,
      isSending: false,
      wasSent: false,
      cancel: () => {},
    };
    this.#waiting.set(nameOf(wish), waiting);
    this.#ask(waiting, isUrgent);
    return done.promise;
  }

  /** Grants of an ack or a welcome; those nobody waits for are ignored, as is a second one for what is on its way. */
  onGrants(grants: readonly UploadGrant[]): void {
    for (const grant of grants) {
      const waiting = this.#waiting.get(nameOf(grant));
      if (!waiting || waiting.isSending) continue;
      waiting.cancel();
      void this.#send(waiting, grant);
    }
  }

  /** Refused for good, in an ack: asked for again, it would be refused again. */
  onRefused(refused: readonly UploadRefusal[]): void {
    for (const refusal of refused) {
      const waiting = this.#waiting.get(nameOf(refusal));
      // What is on its way was granted before.
      if (!waiting || waiting.isSending) continue;
      const { kind, reason, limit } = refusal;
      const most = reason === 'too_large' ? `of this size: at most ${limit} bytes` : `of this number: at most ${limit}`;
      const why = `the control plane takes no ${kind} ${most}`;
      this.#end(waiting, { kind: 'failed', why, isRefused: true });
    }
  }

  /** Gives one up that something newer takes the place of. */
  forget(kind: UploadKind, number: number, why: string): void {
    const waiting = this.#waiting.get(nameOf({ kind, number }));
    if (waiting) this.#end(waiting, { kind: 'failed', why });
  }

  /** Gives up what still waits. */
  close(why: string): void {
    this.#isClosed = true;
    for (const waiting of [...this.#waiting.values()]) this.#end(waiting, { kind: 'failed', why });
  }

  #ask(waiting: Waiting, isUrgent: boolean): void {
    const isKept = KEPT.has(waiting.wish.kind);
    if (!isKept && waiting.tries >= UPLOAD_TRIES_MAX) {
      this.#end(waiting, { kind: 'failed', why: `not stored after ${UPLOAD_TRIES_MAX} tries` });
      return;
    }
    waiting.tries += 1;
    // The ack that carried the last grant may have been lost.
    this.#options.wish(waiting.wish, isUrgent);
    // One that may wait rides on the next tick, and is no reason for a batch of its own before that.
    const waitMs = UPLOAD_GRANT_WAIT_MS + (isUrgent ? 0 : LINGER_UNWATCHED_MS);
    waiting.cancel = this.#options.clock.after(waitMs, () => this.#ask(waiting, true));
  }

  async #send(waiting: Waiting, grant: UploadGrant): Promise<void> {
    const { sha256, wish, wasSent } = waiting;
    // A crash of the line hides whether it arrived: from here on it may have.
    waiting.isSending = true;
    waiting.wasSent = true;
    const answer = await this.#put(grant, waiting.body);
    waiting.isSending = false;
    if (!this.#waiting.has(nameOf(wish))) return;
    const status = answer.kind === 'answer' ? answer.status : null;
    if (status === 200 || (status === 412 && wasSent)) {
      this.#end(waiting, { kind: 'stored', key: grant.key, sha256, sizeBytes: wish.sizeBytes });
      return;
    }
    if (status === 412) {
      this.#end(waiting, { kind: 'failed', why: 'another object has this name', isTaken: true });
      return;
    }
    if (status !== null && isFinalRefusal(status)) {
      this.#end(waiting, { kind: 'failed', why: `refused with status ${status}` });
      return;
    }
    waiting.failures += 1;
    const why = answer.kind === 'answer' ? `status ${answer.status}` : answer.why;
    this.#options.log.warn('an upload failed and is tried again', { kind: wish.kind, number: wish.number, why });
    waiting.cancel = this.#options.clock.after(this.#pauseMs(waiting.failures), () => this.#ask(waiting, true));
  }

  /** Full jitter over a span that doubles, and never nothing: what failed together must not come back together. */
  #pauseMs(failures: number): number {
    const spanMs = Math.min(UPLOAD_RETRY_MAX_MS, UPLOAD_RETRY_MS * 2 ** Math.min(failures, 16));
    const { next } = this.#options.random ?? systemRandom;
    return Math.ceil(UPLOAD_RETRY_MS / 2 + spanMs * next());
  }

  #put({ url, headers }: UploadGrant, body: UploadBody): ReturnType<PutObject> {
    const { put, putFile = fetchPutFile } = this.#options;
    return body instanceof Uint8Array ? put(url, headers, body) : putFile(url, headers, body.path);
  }

  #end(waiting: Waiting, stored: Stored): void {
    waiting.cancel();
    this.#waiting.delete(nameOf(waiting.wish));
    waiting.settle(stored);
  }
}

/** `fetch` sets these itself. */
const OWN_HEADERS = new Set(['host', 'content-length', 'connection']);

const putBody = async (
  url: string,
  headers: Readonly<Record<string, string>>,
  body: () => Promise<Buffer<ArrayBuffer> | Blob>,
  timeoutMs: number,
): ReturnType<PutObject> => {
  const sent = Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN_HEADERS.has(name.toLowerCase())));
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const answer = await fetch(url, { method: 'PUT', headers: sent, body: await body(), signal });
    await answer.arrayBuffer();
    return { kind: 'answer', status: answer.status };
  } catch (error) {
    // A cut connection and a time-out are retried alike; the address holds a signature and is not told.
    return { kind: 'failed', why: error instanceof Error ? error.name : 'unknown' };
  }
};

export const fetchPut: PutObject = (url, headers, body) =>
  putBody(url, headers, async () => Buffer.from(body), UPLOAD_PUT_TIMEOUT_MS);

const fetchPutFile: PutFile = (url, headers, path) =>
  putBody(url, headers, () => openAsBlob(path), CHECKPOINT_TRANSFER_TIMEOUT_MS);
