/** Time and chance as ports: domain code gets them injected, so that a test can move one and seed the other. */

export interface Clock {
  /** Milliseconds since 1970 (UTC). */
  nowMs(): number;
  /** Milliseconds on a clock that never jumps; only differences mean anything. */
  monotonicMs(): number;
  /** Calls `run` once after `delayMs`; returns what cancels it. */
  after(delayMs: number, run: () => void): () => void;
}

export interface Random {
  /** In [0, 1). */
  next(): number;
  /** Unpredictable bytes as lower-case hex, for secrets and ids. */
  hex(sizeBytes: number): string;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

export const systemRandom: Random = {
  next: () => Math.random(),
  hex: (sizeBytes) =>
    Array.from(globalThis.crypto.getRandomValues(new Uint8Array(sizeBytes)), (byte) =>
      byte.toString(16).padStart(2, '0'),
    ).join(''),
};

/** Resolves after `delayMs` of `clock`, or rejects with the signal's reason. */
export const sleep = (clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
