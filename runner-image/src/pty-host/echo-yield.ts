/**
 * Who types waits for an echo of a few bytes; beside a flood it would wait for the processor, and then behind the flood's bytes. So what
 * floods stands still between a key and its echo, for moments that leave it most of its speed.
 */
import type { Clock } from '../../../shared/clock.ts';
import { PTY_ECHO_YIELD_GAP_MS, PTY_ECHO_YIELD_MS } from '../../../shared/limits.ts';

export interface Yielding {
  readonly handle: number;
  readonly isFlooding: boolean;
  /** Neither reads nor sends until `goOn`. */
  standStill(): void;
  goOn(): void;
}

export interface EchoYield {
  /** Input was given to this process. */
  typed(handle: number): void;
  /** Output of this process is on its way. */
  answered(handle: number): void;
}

export const echoYield = (clock: Clock, processes: () => Iterable<Yielding>): EchoYield => {
  let awaited: number | undefined;
  let still: readonly Yielding[] = [];
  let notBeforeMs = Number.NEGATIVE_INFINITY;
  let cancel = (): void => {};

  const end = (): void => {
    cancel();
    awaited = undefined;
    notBeforeMs = clock.monotonicMs() + PTY_ECHO_YIELD_GAP_MS;
    const held = still;
    still = [];
    for (const process of held) process.goOn();
  };
  return {
    typed(handle) {
      if (awaited !== undefined || clock.monotonicMs() < notBeforeMs) return;
      still = [...processes()].filter((other) => other.handle !== handle && other.isFlooding);
      if (still.length === 0) return;
      awaited = handle;
      for (const process of still) process.standStill();
      cancel = clock.after(PTY_ECHO_YIELD_MS, end);
    },
    answered(handle) {
      if (handle === awaited) end();
    },
  };
};
