/**
 * What must be on disk goes there in order. While the disk is full nothing is lost and nothing overtakes: the writes wait
 * here, the session is held so that few come, and all goes on when there is room.
 */
import type { Clock } from '../../../shared/clock.ts';
import { DISK_RETRY_MS, DISK_WRITES_WAITING_MAX } from '../../../shared/limits.ts';
import { isDiskFull } from '../transport/disk.ts';

export interface DiskGateOptions {
  readonly clock: Clock;
  /** Called when the first write has to wait (true), and when none does any more. */
  readonly onFull: (isFull: boolean) => void;
}

export class DiskGate {
  readonly #options: DiskGateOptions;
  #waiting: (() => void)[] = [];
  #cancel: () => void = () => {};

  constructor(options: DiskGateOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#waiting.length > 0;
  }

  /**
   * Writes now, or behind what waits. A write that finds the disk full must have changed nothing: it is done again.
   * Every other failure is the caller's; beyond DISK_WRITES_WAITING_MAX it throws, which ends the process.
   */
  run(write: () => void): void {
    if (this.#waiting.length >= DISK_WRITES_WAITING_MAX) throw new Error('the disk is full for too long');
    if (this.#waiting.length > 0) {
      this.#waiting.push(write);
      return;
    }
    try {
      write();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#waiting.push(write);
      this.#retryLater();
      this.#options.onFull(true);
    }
  }

  stop(): void {
    this.#cancel();
  }

  #retryLater(): void {
    this.#cancel = this.#options.clock.after(DISK_RETRY_MS, () => this.#retry());
  }

  #retry(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      try {
        next();
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        this.#retryLater();
        return;
      }
      this.#waiting.shift();
    }
    this.#options.onFull(false);
  }
}
