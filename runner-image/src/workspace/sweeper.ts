/**
 * Looks again and again for folders that belong to no session. A clock that jumps or a machine that slept makes every lease
 * look old: so a folder goes only when its lease stayed as it was for a while of looking, in which its holder would have renewed it.
 */
import type { Clock } from '../../../shared/clock.ts';
import { WORKSPACE_SWEEP_CONFIRM_MS } from '../../../shared/limits.ts';
import type { Log } from '../log.ts';
import { sweepOrphans } from './cleanup.ts';
import type { WorkspaceLease } from './lease.ts';

export interface SweeperOptions {
  readonly root: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Sessions of this process: their folders are theirs, whatever their leases say. */
  readonly held: () => Iterable<string>;
}

interface Seen {
  readonly renewedAtMs: number | null;
  readonly sinceMs: number;
}

export class WorkspaceSweeper {
  readonly #options: SweeperOptions;
  #seen = new Map<string, Seen>();
  #isSweeping = false;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** To be called every WORKSPACE_SWEEP_MS. Never rejects; a look that takes long is not joined by a second. */
  async look(): Promise<void> {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    const { root, clock, log, held } = this.#options;
    const still = new Map<string, Seen>();
    const confirm = (sessionId: string, lease: WorkspaceLease | null): boolean => {
      const seen = this.#confirmed(sessionId, lease);
      still.set(sessionId, seen);
      return clock.monotonicMs() - seen.sinceMs >= WORKSPACE_SWEEP_CONFIRM_MS;
    };
    try {
      const { removed, failed } = await sweepOrphans(root, new Set(held()), { nowMs: clock.nowMs(), confirm });
      if (removed.length + failed.length > 0) log.info('workspaces without a session', { removed, failed });
    } catch (error) {
      log.warn('workspaces could not be looked through', { error });
    }
    this.#seen = still;
    this.#isSweeping = false;
  }

  #confirmed(sessionId: string, lease: WorkspaceLease | null): Seen {
    const renewedAtMs = lease?.renewedAtMs ?? null;
    const before = this.#seen.get(sessionId);
    if (before?.renewedAtMs === renewedAtMs) return before;
    return { renewedAtMs, sinceMs: this.#options.clock.monotonicMs() };
  }
}
