/**
 * One writer per mirror, over all processes of this machine. The lock is the kernel's (flock), held by a small child
 * that ends when its input closes: a holder that crashed cannot wedge the mirror, and no clock decides who is dead.
 */
import { spawn } from 'node:child_process';

export interface LockRequest {
  /** Created when absent; never deleted, since a deleted lock file can be locked twice. */
  readonly path: string;
  readonly timeoutMs: number;
  readonly inherited: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export type LockResult =
  | { readonly kind: 'locked'; readonly release: () => Promise<void> }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'cancelled' };

const HOLD = 'echo locked && exec cat >/dev/null';

/** Waits for the lock. Throws when `flock` (util-linux) is missing or fails, since then nothing would be exclusive. */
export const lockMirror = (request: LockRequest): Promise<LockResult> =>
  new Promise((resolve, reject) => {
    if (request.signal?.aborted) return resolve({ kind: 'cancelled' });
    const child = spawn('flock', ['--exclusive', request.path, 'sh', '-c', HOLD], {
      env: { ...request.inherited },
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    const ended = new Promise<void>((done) => child.once('close', () => done()));
    let outcome: LockResult | undefined;
    const giveUp = (result: LockResult) => {
      outcome = result;
      // The group, because flock waits in a process of its own before it starts the holder.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    };
    const timer = setTimeout(() => giveUp({ kind: 'timeout' }), request.timeoutMs);
    const onAbort = () => giveUp({ kind: 'cancelled' });
    request.signal?.addEventListener('abort', onAbort, { once: true });
    const settled = () => {
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', onAbort);
    };
    // EPIPE: the holder is gone already, and with it the lock.
    child.stdin.on('error', () => {});
    child.stdout.once('data', () => {
      if (outcome) return;
      settled();
      resolve({
        kind: 'locked',
        release: async () => {
          child.stdin.end();
          await ended;
        },
      });
    });
    child.once('error', (error) => {
      settled();
      reject(new Error('flock (util-linux) cannot be started', { cause: error }));
    });
    child.once('close', (code) => {
      settled();
      if (outcome) resolve(outcome);
      else reject(new Error(`flock ended with code ${code}`));
    });
  });
