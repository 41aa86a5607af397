/** Watches every commit of what runners hold and who waits for them: what must be true at any moment, not only at the end. */
import type { Item, Key, TableName } from '../../functions/database.ts';
import type { Violation } from '../invariants/violation.ts';
import type { Scheduler } from './scheduler.ts';

interface Waiting {
  readonly sinceMs: number;
  readonly group: string;
}

/** Whoever claims has read the queue so long ago at most: one call, and what its function may take. */
const READ_MAX_MS = 60_000;

export class PlaceWatch {
  readonly violations: Violation[] = [];
  readonly counts = { placed: { task: 0, group: 0, warm: 0 }, queued: 0 };
  readonly #scheduler: Scheduler;
  /** Sessions of each runner, by its key. */
  readonly #held = new Map<string, Set<string>>();
  readonly #live = new Map<string, { live: number; maxSessions: number }>();
  /** Whose each idle task is, by its key. */
  readonly #claims = new Map<string, string>();
  readonly #queue = new Map<string, Waiting>();
  readonly #placed = new Map<string, string>();
  /** Runners whose rows have changed. */
  readonly #due = new Set<string>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  committed(table: TableName, { pk, sk }: Key, image: Item | null): void {
    if (table === 'runners' && sk.startsWith('ASSIGN#')) this.#assigned(sk, image !== null);
    if (table === 'runners' && sk.startsWith('HOST#') && image?.group !== undefined)
      this.#live.set(sk.slice('HOST#'.length), { live: Number(image.live), maxSessions: Number(image.maxSessions) });
    if (table === 'runners' && pk.startsWith('WARM#') && sk.startsWith('RUNNER#')) this.#claimed(sk, image);
    if (table === 'sessions' && pk.endsWith('#QUEUE')) this.#queued(sk, image);
    if (table === 'sessions' && sk === 'META' && image !== null) this.#placement(pk, image);
    if (table === 'runners' && (sk.startsWith('ASSIGN#') || sk.startsWith('HOST#')))
      this.#due.add(sk.split('#')[1] ?? '');
  }

  /** Between two commits: counters and rows of one transaction agree. */
  look(): void {
    for (const runnerId of this.#due) {
      const row = this.#live.get(runnerId);
      const held = this.#held.get(runnerId)?.size ?? 0;
      if (row === undefined) continue;
      if (row.live !== held) this.#note(null, `${runnerId}: the counter says ${row.live}, ${held} are held`);
      if (row.live < 0 || row.live > row.maxSessions)
        this.#note(null, `${runnerId}: ${row.live} of ${row.maxSessions} places are taken`);
    }
    this.#due.clear();
  }

  #assigned(sk: string, isHeld: boolean): void {
    const [, runnerId = '', sessionId = ''] = sk.split('#');
    const held = this.#held.get(runnerId) ?? new Set();
    this.#held.set(runnerId, held);
    if (isHeld) held.add(sessionId);
    else held.delete(sessionId);
  }

  /** One that is claimed is given back before it is claimed again, and that never happens. */
  #claimed(sk: string, image: Item | null): void {
    const claimed = image?.claimedFor as { sessionId: string; epoch: number } | null | undefined;
    const name = claimed ? `${claimed.sessionId}#${claimed.epoch}` : '';
    const before = this.#claims.get(sk) ?? '';
    this.#claims.set(sk, name);
    if (before === '' || name === '' || name === before) return;
    const message = `${sk} is claimed for ${name} and was for ${before}`;
    this.violations.push({ rule: 'warm_pool', sessionId: claimed?.sessionId ?? null, message });
  }

  #queued(sessionId: string, image: Item | null): void {
    if (image !== null) {
      if (!this.#queue.has(sessionId)) this.counts.queued += 1;
      this.#queue.set(sessionId, { sinceMs: this.#scheduler.nowMs, group: String(image.group) });
      return;
    }
    this.#queue.delete(sessionId);
  }

  #placement(pk: string, image: Item): void {
    const [, , , sessionId = ''] = pk.split('#');
    const placement = image.placement as { kind: 'task' | 'group' | 'warm'; group?: string } | null | undefined;
    const name = placement === null || placement === undefined ? '' : `${image.epoch} ${JSON.stringify(placement)}`;
    const before = this.#placed.get(pk);
    this.#placed.set(pk, name);
    if (name === '' || name === before || !placement) return;
    this.counts.placed[placement.kind] += 1;
    if (placement.kind !== 'group') return;
    const passed = [...this.#queue].filter(
      ([other, { sinceMs, group }]) =>
        other < sessionId && group === placement.group && this.#scheduler.nowMs - sinceMs > READ_MAX_MS,
    );
    for (const [other] of passed)
      this.violations.push({ rule: 'queue', sessionId: other, message: `${sessionId} was placed before it` });
  }

  #note(sessionId: string | null, message: string): void {
    this.violations.push({ rule: 'places', sessionId, message });
  }
}
