/** Brings a session to the state that people asked for, one step at a time, whatever they ask meanwhile. */
import { converge } from './convergence.ts';
import type { SessionRuntime } from './session-runtime.ts';

export class DesiredFollower {
  readonly #runtime: SessionRuntime;
  #isFollowing = false;
  #mustLook = false;

  constructor(runtime: SessionRuntime) {
    this.#runtime = runtime;
  }

  /** Something was asked, or the session has come to a state that allows more. */
  follow(): void {
    this.#mustLook = true;
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    void this.#followAll();
  }

  async #followAll(): Promise<void> {
    // What is asked while this looks, in the same turn of the loop even, is looked at again.
    while (this.#mustLook) {
      this.#mustLook = false;
      await this.#converge();
    }
    this.#isFollowing = false;
  }

  async #converge(): Promise<void> {
    const { core, typing } = this.#runtime;
    const { freezer } = core;
    for (;;) {
      const action = this.#runtime.isEnding ? 'none' : converge(core.state, core.desired.desired);
      if (action === 'none') return;
      if (action === 'stop') return this.#runtime.stop();
      if (action === 'pause') {
        typing.setKeyboard(null);
        await freezer.set('pause', true);
        if (core.desired.desired === 'pause' && core.move({ type: 'PAUSE' })) continue;
        await freezer.set('pause', false);
        this.#runtime.openKeyboard();
      } else {
        await freezer.set('pause', false);
        if (!core.move({ type: 'RESUME', isWaiting: false })) return;
        this.#runtime.openKeyboard();
      }
    }
  }
}
