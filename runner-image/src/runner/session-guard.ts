/** Whose code is running: an error that nobody caught then ends the session it belongs to, not the runner with all the others. */
import { AsyncLocalStorage } from 'node:async_hooks';

export interface SessionKey {
  readonly sessionId: string;
  readonly epoch: number;
}

export class SessionGuard {
  /** Follows timers, sockets, watchers and promises that a session begins. */
  readonly #owner = new AsyncLocalStorage<SessionKey>();

  run<T>(key: SessionKey, work: () => T): T {
    return this.#owner.run(key, work);
  }

  /** The session that runs now, also inside the handlers of `uncaughtException` and `unhandledRejection`. */
  get owner(): SessionKey | undefined {
    return this.#owner.getStore();
  }
}
