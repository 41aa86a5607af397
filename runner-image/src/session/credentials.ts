/** Model key, repository token and inputs of the session, fetched into memory only and refreshed before they expire. */
import type { Clock } from '../../../shared/clock.ts';
import { RunnerCredentials } from '../../../shared/http.ts';

export type CredentialsResult =
  | { readonly kind: 'ok'; readonly credentials: RunnerCredentials }
  /** `code` and `message` are the control plane's, fit for people. */
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | { readonly kind: 'unreachable'; readonly message: string };

export type FetchCredentials = (capability: string, signal?: AbortSignal) => Promise<CredentialsResult>;

const TIMEOUT_MS = 10_000;
const TRIES_MAX = 4;
const RETRY_MS = 500;

const textOf = (body: unknown, name: string): string | undefined => {
  const value =
    typeof body === 'object' && body !== null ? Object.entries(body).find(([key]) => key === name)?.[1] : '';
  return typeof value === 'string' && value !== '' ? value.slice(0, 500) : undefined;
};

const ask = async (url: string, capability: string, signal: AbortSignal): Promise<CredentialsResult> => {
  try {
    const answer = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${capability}` }, signal });
    const body: unknown = await answer.json();
    if (answer.status === 200) return { kind: 'ok', credentials: RunnerCredentials.parse(body) };
    const message = textOf(body, 'message') ?? `The control plane answered ${answer.status}.`;
    if (answer.status >= 500 || answer.status === 429) return { kind: 'unreachable', message };
    return { kind: 'refused', code: textOf(body, 'code') ?? 'refused', message };
  } catch (error) {
    // No answer, a time-out, or one that does not fit: asked again, since starts meet cold and throttled Lambdas.
    return { kind: 'unreachable', message: error instanceof Error ? error.message.slice(0, 300) : 'no answer' };
  }
};

/** Asks `url` with the capability as bearer; repeats what may pass. Never rejects. */
export const fetchCredentialsFrom =
  (url: string, clock: Clock): FetchCredentials =>
  async (capability, signal) => {
    let last: CredentialsResult = { kind: 'unreachable', message: 'not asked' };
    for (let tries = 0; tries < TRIES_MAX && signal?.aborted !== true; tries += 1) {
      if (tries > 0) await new Promise<void>((resolve) => void clock.after(RETRY_MS * 2 ** tries, resolve));
      const limit = AbortSignal.timeout(TIMEOUT_MS);
      last = await ask(url, capability, signal ? AbortSignal.any([signal, limit]) : limit);
      if (last.kind !== 'unreachable') return last;
    }
    return last;
  };

/** The model's real key, asked for again shortly before it expires. */
export const keyKeeper = (first: RunnerCredentials, refresh: () => Promise<CredentialsResult>, clock: Clock) => {
  const REFRESH_BEFORE_MS = 5 * 60_000;
  let current = first;
  return async (): Promise<string> => {
    if (Date.parse(current.expiresAt) - clock.nowMs() < REFRESH_BEFORE_MS) {
      const next = await refresh();
      // An old key that may still work is better than none; the vendor says if not.
      if (next.kind === 'ok') current = next.credentials;
    }
    if (current.model.kind !== 'anthropic') throw new Error('the session has no model key');
    return current.model.apiKey;
  };
};
