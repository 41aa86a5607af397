/**
 * Keeps the last output of a program that ends. Two leaks: without an open slave libuv takes a short read with hang-up
 * for the end (so we hold the slave open), and node-pty destroys the master 200 ms after the exit, read or not (so we
 * hold that back until the terminal is read empty).
 */
import { closeSync, constants, openSync } from 'node:fs';
import type { Pty } from 'node-pty';
import type { Clock } from '../../../shared/clock.ts';
import { PTY_DRAIN_MAX_BYTES, PTY_DRAIN_QUIET_MS } from '../../../shared/limits.ts';

export interface TailGuard {
  /** The program has ended, and only the rest is being read. */
  readonly isEnding: boolean;
  /** To be called for each piece of output. */
  sawBytes(sizeBytes: number): void;
  /** Reading stops (flow control): silence means nothing until `resumed`. */
  paused(): void;
  resumed(): void;
  /** Closes the slave; to be called in onExit. */
  close(): void;
}

/** Guards `pty` from right after its spawn; `onEnding` says that its program has ended and only the rest is being read. */
export const guardTail = (pty: Pty, clock: Clock): TailGuard => {
  let slave: number | undefined = openSync(pty.ptsName, constants.O_RDWR | constants.O_NOCTTY);
  const socket = pty._socket;
  const reallyDestroy = socket.destroy.bind(socket);
  let ending = false;
  let isPaused = false;
  let drainedBytes = 0;
  let sinceLook = 0;
  let looks = 0;

  const look = (): void => {
    sinceLook = 0;
    looks += 1;
    const number = looks;
    clock.after(PTY_DRAIN_QUIET_MS, () => {
      // A timer may be late behind a busy loop: only after a poll for input does "no bytes" mean silence.
      setImmediate(() => {
        // After a pause another look has begun, and this one would take its beginning for silence.
        if (isPaused || number !== looks) return;
        if (sinceLook === 0 || drainedBytes > PTY_DRAIN_MAX_BYTES) reallyDestroy();
        else look();
      });
    });
  };
  socket.destroy = (error) => {
    if (error) return reallyDestroy(error);
    if (!ending) {
      ending = true;
      if (!isPaused) look();
    }
    return socket;
  };

  return {
    get isEnding() {
      return ending;
    },
    sawBytes(sizeBytes) {
      sinceLook += sizeBytes;
      if (ending) drainedBytes += sizeBytes;
    },
    paused() {
      isPaused = true;
    },
    resumed() {
      isPaused = false;
      if (ending) look();
    },
    close() {
      if (slave !== undefined) closeSync(slave);
      slave = undefined;
    },
  };
};
