/** Sessions of an earlier process that cannot be taken up yet (too many open files, a disk that does not answer): none is lost for that. */
import { sessionOfPty } from '../session/pty-programs.ts';
import type { SavedSession } from '../session/saved-session.ts';
import { decideLease } from '../transport/lease.ts';
import type { ProgramFate } from './stray-programs.ts';

export class StuckSessions {
  readonly #bootMs: () => number;
  /** When the lease of each was proven last, as far as is known; it stays known over tries that fail again. */
  readonly #provenAtMs = new Map<string, number>();
  readonly #stuck = new Set<string>();

  constructor(bootMs: () => number) {
    this.#bootMs = bootMs;
  }

  get size(): number {
    return this.#stuck.size;
  }

  has(sessionId: string): boolean {
    return this.#stuck.has(sessionId);
  }

  /** `saved`: `null` where not even that can be read. @returns whether it was not known before */
  add(sessionId: string, saved: Pick<SavedSession, 'leaseProvenAtMs'> | null): boolean {
    this.#stuck.add(sessionId);
    const isNew = !this.#provenAtMs.has(sessionId);
    const nowMs = this.#bootMs();
    // A clock that began anew with the machine would make an old proof look like one of the future.
    if (isNew || saved !== null) this.#provenAtMs.set(sessionId, Math.min(nowMs, saved?.leaseProvenAtMs ?? nowMs));
    return isNew;
  }

  /** What becomes of a program whose session is not held: without a lease for so long it must not run on anywhere. */
  fateOf(ptyId: string): Exclude<ProgramFate, 'held'> {
    const sessionId = sessionOfPty(ptyId);
    const provenAtMs = this.#stuck.has(sessionId) ? this.#provenAtMs.get(sessionId) : undefined;
    if (provenAtMs === undefined) return 'stray';
    return decideLease(provenAtMs, this.#bootMs()).kind === 'kill' ? 'stray' : 'waits';
  }

  /** Tries all again by `takeUp`, which adds those that fail once more. */
  retry(takeUp: () => void): void {
    if (this.#stuck.size === 0) return;
    const before = [...this.#stuck];
    this.#stuck.clear();
    try {
      takeUp();
    } catch (error) {
      // Nothing was found out about them: they are no strays.
      for (const sessionId of before) this.#stuck.add(sessionId);
      throw error;
    }
    for (const sessionId of [...this.#provenAtMs.keys()])
      if (!this.#stuck.has(sessionId)) this.#provenAtMs.delete(sessionId);
  }
}
