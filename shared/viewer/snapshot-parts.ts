/** Joins the parts of a snapshot; a newer snapshot replaces an unfinished older one. */
import { SNAPSHOT_MAX_PARTS, VIEWER_OPEN_SNAPSHOTS_MAX } from '../limits.ts';

interface Part {
  readonly snapshotId: string;
  readonly part: number;
  readonly parts: number;
  readonly offset: number;
  readonly data: string;
}

export class SnapshotParts {
  readonly #open = new Map<string, Map<number, string>>();

  /** The whole text once every part is there, else `null`. */
  add(part: Part): string | null {
    if (part.part >= part.parts || part.parts > SNAPSHOT_MAX_PARTS) return null;
    const known = this.#open.get(part.snapshotId) ?? new Map<number, string>();
    this.#open.set(part.snapshotId, known);
    known.set(part.part, part.data);
    this.#forgetOldest();
    if (known.size < part.parts) return null;
    this.#open.delete(part.snapshotId);
    return Array.from({ length: part.parts }, (_, index) => known.get(index) ?? '').join('');
  }

  #forgetOldest(): void {
    const oldest = this.#open.keys().next();
    if (this.#open.size > VIEWER_OPEN_SNAPSHOTS_MAX && !oldest.done) this.#open.delete(oldest.value);
  }
}
