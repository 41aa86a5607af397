/** A runner's private disk: what stands on it survives its process as far as it was written, torn where the process died, full at times. */
import type { AppendFile, Disk } from '../../runner-image/src/transport/disk.ts';
import type { Chance } from './chance.ts';
import type { Faults } from './faults.ts';

/** Names who met it: where nobody catches it, it ends that process (see `crashOnRejection`). */
export class NoSpaceError extends Error {
  readonly code = 'ENOSPC';
  readonly user: DiskUser;

  constructor(user: DiskUser) {
    super('ENOSPC: no space left on device');
    this.user = user;
  }
}

/** One process that writes. */
export interface DiskUser {
  readonly isAlive: boolean;
  readonly die: () => void;
  readonly nowMs: () => number;
  /** All of `bytes` stands in the file. */
  readonly onAppended: (path: string, bytes: Uint8Array) => void;
}

export class SimDisk {
  /** Bytes as latin1: joining strings is what the engine does fastest. */
  readonly #files = new Map<string, string>();
  readonly #chance: Chance;
  readonly #faults: Faults;
  #fullUntilMs = 0;

  constructor(chance: Chance, faults: Faults) {
    this.#chance = chance;
    this.#faults = faults;
  }

  /** As long as somebody else fills it. */
  fill(untilMs: number): void {
    this.#fullUntilMs = untilMs;
  }

  /** Folders and files right under `prefix`, in order. */
  namesUnder(prefix: string): string[] {
    const under = [...this.#files.keys()].filter((path) => path.startsWith(prefix));
    return [...new Set(under.map((path) => path.slice(prefix.length).split('/')[0] ?? ''))].sort();
  }

  removeUnder(prefix: string): void {
    for (const path of this.#files.keys()) if (path.startsWith(prefix)) this.#files.delete(path);
  }

  /** The disk as one process has it: `die` is called in the middle of a write, and nothing the process does counts after that. */
  mount(process: DiskUser): Disk {
    const isFull = (): boolean => {
      if (!this.#faults.isOn || process.nowMs() >= this.#fullUntilMs) return false;
      this.#faults.met('disk_full');
      return true;
    };
    const noSpace = (): Error => new NoSpaceError(process);
    return {
      read: (path) => {
        const bytes = this.#files.get(path);
        return bytes === undefined ? undefined : Buffer.from(bytes, 'latin1').toString('utf8');
      },
      replace: (path, whole) => {
        if (!process.isAlive) return;
        const text = Buffer.from(whole).toString('latin1');
        if (isFull()) throw noSpace();
        if (this.#faults.strikes('runner_crash')) {
          // Renamed at the end: the old file stands, or the new one.
          if (this.#chance.is(0.5)) this.#files.set(path, text);
          process.die();
          return;
        }
        this.#files.set(path, text);
      },
      openAppend: (path) => this.#append(path, process, isFull, noSpace),
      remove: (path) => {
        if (process.isAlive) this.#files.delete(path);
      },
    };
  }

  #append(path: string, process: DiskUser, isFull: () => boolean, noSpace: () => Error): AppendFile {
    const add = (bytes: Uint8Array): void => {
      this.#files.set(path, (this.#files.get(path) ?? '') + Buffer.from(bytes).toString('latin1'));
    };
    return {
      append: (bytes) => {
        if (!process.isAlive) return;
        if (isFull()) {
          add(bytes.subarray(0, this.#chance.int(0, bytes.length - 1)));
          throw noSpace();
        }
        const isTorn = this.#faults.strikes('torn_write');
        const written = isTorn ? bytes.subarray(0, this.#chance.int(1, bytes.length)) : bytes;
        add(written);
        if (written.length === bytes.length) process.onAppended(path, bytes);
        if (isTorn) process.die();
      },
      truncate: (sizeBytes) => {
        if (process.isAlive) this.#files.set(path, (this.#files.get(path) ?? '').slice(0, sizeBytes));
      },
      close: () => {},
    };
  }
}
