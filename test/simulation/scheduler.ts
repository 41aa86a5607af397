/** Virtual time and the order of everything that is pending: one step at a time, each run until nothing of it is left to do. */
import type { Clock } from '../../shared/clock.ts';
import type { Chance } from './chance.ts';

/** A process, a container, a line: what is pending for it is forgotten when it is gone. */
export interface Owner {
  readonly isAlive: boolean;
}

interface Step {
  readonly atMs: number;
  /** Orders steps of the same moment by chance. */
  readonly tie: number;
  readonly owner: Owner | null;
  run: (() => void) | null;
}

const START_MS = Date.UTC(2026, 0, 1);

const isBefore = (a: Step, b: Step): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.tie < b.tie);

/** Everything that a step set off in microtasks has happened when this resolves. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class Scheduler {
  readonly #chance: Chance;
  #heap: Step[] = [];
  #nowMs = START_MS;
  #steps = 0;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Runs `run` after `delayMs`, unless cancelled or `owner` is gone by then. */
  after(delayMs: number, run: () => void, owner: Owner | null = null): () => void {
    const step: Step = { atMs: this.#nowMs + Math.max(0, delayMs), tie: this.#chance.next(), owner, run };
    this.#push(step);
    return () => {
      step.run = null;
    };
  }

  /** Resolves after `delayMs`; never when `owner` is gone by then. */
  pause(delayMs: number, owner: Owner | null = null): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve, owner);
    });
  }

  /** Steps on until `isDone` or until virtual time is `untilMs`. */
  async run(untilMs: number, isDone: () => boolean = () => false): Promise<void> {
    await settled();
    while (!isDone()) {
      const step = this.#pop(untilMs);
      if (step === undefined) break;
      this.#nowMs = step.atMs;
      if (step.run === null || step.owner?.isAlive === false) continue;
      this.#steps += 1;
      step.run();
      await settled();
    }
    if (!isDone()) this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  #push(step: Step): void {
    const heap = this.#heap;
    let at = heap.push(step) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(step, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = step;
  }

  #pop(untilMs: number): Step | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.atMs > untilMs) return undefined;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      const [l, r] = [heap[left], heap[right]];
      if (l === undefined) break;
      const [child, index] = r !== undefined && isBefore(r, l) ? [r, right] : [l, left];
      if (!isBefore(child, last)) break;
      heap[at] = child;
      at = index;
    }
    heap[at] = last;
    return first;
  }
}

/** The clock of one process: its wall clock may be wrong by `skewMs`, its timers end with it. */
export const clockOf = (scheduler: Scheduler, owner: Owner, skewMs: () => number): Clock => ({
  nowMs: () => Math.floor(scheduler.nowMs + skewMs()),
  monotonicMs: () => scheduler.nowMs,
  after: (delayMs, run) => (owner.isAlive ? scheduler.after(delayMs, run, owner) : () => {}),
});
