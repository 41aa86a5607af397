/** Plays stored steps with the pauses they had, faster or shorter if asked; nothing here knows what a terminal is. */
import { type Clock, sleep } from '../../shared/clock.ts';
import type { WalkStep } from '../../shared/viewer/transcript-walk.ts';

export interface PlayOptions {
  readonly clock: Clock;
  /** 2 is twice as fast. */
  readonly speed: number;
  /** A longer pause is played as this long, before it is sped up. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
  /** Resolves when it may go on: at once unless a person has paused it. */
  readonly resumed: () => Promise<void>;
  readonly draw: (step: WalkStep) => void;
}

export class ReplayPlayer {
  readonly #options: PlayOptions;
  #lastMs: number | null = null;

  constructor(options: PlayOptions) {
    this.#options = options;
  }

  /** Resolves when the steps were drawn, or the signal came. */
  async play(steps: readonly WalkStep[]): Promise<void> {
    const { clock, speed, idleMs, signal, resumed, draw } = this.#options;
    for (const step of steps) {
      // A clock that was set back makes no pause.
      const pauseMs = Math.min(idleMs, Math.max(0, step.atMs - (this.#lastMs ?? step.atMs))) / speed;
      this.#lastMs = Math.max(step.atMs, this.#lastMs ?? step.atMs);
      // Only the abort rejects, and the next line answers it.
      if (pauseMs > 0) await sleep(clock, pauseMs, signal).catch(() => {});
      if (!signal.aborted) await resumed();
      if (signal.aborted) return;
      draw(step);
    }
  }
}
