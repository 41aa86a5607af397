/** Fetches the checkpoint of an assignment to a private file; only the bytes that were promised are taken. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { Clock } from '../../../shared/clock.ts';
import {
  CHECKPOINT_FETCH_RETRY_MS,
  CHECKPOINT_FETCH_TRIES_MAX,
  CHECKPOINT_TRANSFER_TIMEOUT_MS,
} from '../../../shared/limits.ts';

export interface CheckpointSource {
  /** A presigned GET; it is not logged. */
  readonly url: string;
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
}

export type FetchResult =
  | { readonly kind: 'fetched' }
  /** Other bytes than promised, or none for good: asking again does not help. */
  | { readonly kind: 'unusable'; readonly why: string }
  /** It may work later, or from elsewhere. */
  | { readonly kind: 'unreachable'; readonly why: string };

/** GET of `url` into the new file `path`, at most `maxBytes`; the status when it is not 200. */
export type GetObject = (
  url: string,
  path: string,
  maxBytes: number,
  signal: AbortSignal,
) => Promise<
  | { kind: 'stored'; sizeBytes: number; sha256: string }
  | { kind: 'answer'; status: number }
  | { kind: 'failed'; why: string }
>;

const store = async (body: AsyncIterable<Uint8Array>, path: string, maxBytes: number) => {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const file = await open(path, 'w', 0o600);
  try {
    for await (const chunk of body) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) break;
      hash.update(chunk);
      await file.writeFile(chunk);
    }
  } finally {
    await file.close();
  }
  return { kind: 'stored', sizeBytes, sha256: hash.digest('hex') } as const;
};

export const fetchToFile: GetObject = async (url, path, maxBytes, signal) => {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(CHECKPOINT_TRANSFER_TIMEOUT_MS)]);
    const answer = await fetch(url, { signal: limit });
    if (answer.status === 200 && answer.body !== null) return await store(answer.body, path, maxBytes);
    await answer.body?.cancel();
    return { kind: 'answer', status: answer.status };
  } catch (error) {
    // A cut connection, a time-out, a full disk: told alike, the address stays out of it.
    return { kind: 'failed', why: error instanceof Error ? error.name : 'unknown' };
  }
};

/** One try's outcome; `null`: try again. */
const judge = (source: CheckpointSource, got: Awaited<ReturnType<GetObject>>): FetchResult | { again: string } => {
  if (got.kind === 'failed') return { again: got.why };
  if (got.kind === 'answer') {
    // The object is gone; a grant that ran out (403) comes anew with the next epoch.
    if (got.status === 404) return { kind: 'unusable', why: 'it is not stored any more' };
    if (got.status === 403) return { kind: 'unreachable', why: 'access to it was refused' };
    return { again: `status ${got.status}` };
  }
  if (got.sizeBytes < source.sizeBytes) return { again: `only ${got.sizeBytes} of ${source.sizeBytes} bytes came` };
  if (got.sizeBytes !== source.sizeBytes || got.sha256 !== source.sha256)
    return { kind: 'unusable', why: 'its bytes are not the ones that were stored' };
  return { kind: 'fetched' };
};

/** Never rejects. */
export const fetchCheckpoint = async (
  get: GetObject,
  source: CheckpointSource,
  path: string,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<FetchResult> => {
  let why = 'not asked';
  for (let tries = 0; tries < CHECKPOINT_FETCH_TRIES_MAX && !signal.aborted; tries += 1) {
    if (tries > 0)
      await new Promise<void>((resolve) => void clock.after(CHECKPOINT_FETCH_RETRY_MS * 2 ** (tries - 1), resolve));
    const judged = judge(source, await get(source.url, path, source.sizeBytes, signal));
    if (!('again' in judged)) return judged;
    why = judged.again;
  }
  return { kind: 'unreachable', why };
};
