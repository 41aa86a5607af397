/** How a runner goes: asked to drain it gives its sessions back one by one, told to end it ends them all; then it goes with an exit code. */
import type { Clock } from '../../../shared/clock.ts';
import { HAND_OVER_LOOK_MS } from '../../../shared/limits.ts';
import type { Log } from '../log.ts';
import type { HeldSessions } from './held-sessions.ts';

export interface Going {
  readonly exitCode: number;
  /** Nothing is kept for a later start: the credential is worth nothing any more. */
  readonly forgets: boolean;
}

export interface DepartureOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly sessions: () => HeldSessions;
  /** It takes sessions no more, or again. */
  readonly onChange: () => void;
  /** Called once, when the last session has ended. */
  readonly onGone: (going: Going) => void;
}

export class Departure {
  readonly #options: DepartureOptions;
  #askedAtMs: number | null = null;
  #going: Going | null = null;
  #isGone = false;
  #cancelLook: () => void = () => {};

  constructor(options: DepartureOptions) {
    this.#options = options;
  }

  get isDraining(): boolean {
    return this.#askedAtMs !== null || this.#going !== null;
  }

  /** What ops ask, as often as they do: sessions are handed over between two turns, and the runner goes with the last of them. */
  ask(desired: 'serve' | 'drain'): void {
    const { clock, log, onChange } = this.#options;
    if ((desired === 'drain') === (this.#askedAtMs !== null) || this.#going) return;
    log.info(desired === 'drain' ? 'asked to give all sessions back' : 'asked to go on');
    this.#askedAtMs = desired === 'drain' ? clock.monotonicMs() : null;
    onChange();
    this.#look();
  }

  /** Goes when no session is left; `end` brings that about. The first exit code stands. */
  leave(going: Going, end: (sessions: HeldSessions) => void): void {
    const isNew = this.#going === null;
    this.#going ??= going;
    if (isNew) this.#options.onChange();
    end(this.#options.sessions());
    this.sessionEnded();
  }

  /** To be called after each end of a session. */
  sessionEnded(): void {
    const { sessions, onGone } = this.#options;
    if (this.#isGone || !this.isDraining || sessions().all.length > 0) return;
    this.#isGone = true;
    this.#cancelLook();
    onGone(this.#going ?? { exitCode: 0, forgets: false });
  }

  #look(): void {
    const { clock, sessions } = this.#options;
    this.#cancelLook();
    if (this.#askedAtMs === null || this.#isGone) return;
    sessions().handOver(clock.monotonicMs() - this.#askedAtMs);
    this.#cancelLook = clock.after(HAND_OVER_LOOK_MS, () => this.#look());
    this.sessionEnded();
  }
}
