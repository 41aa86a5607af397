/** Batches kept beside the log (annex, quarantine): each once, and no more of them per epoch than an item counter allows. */
import { ANNEX_MAX_BATCHES } from '../../shared/limits.ts';
import type { Condition, Database, Item, Put, Write } from '../database.ts';
import { epochKey, type SessionRef } from '../sessions/session-store.ts';
import { archiveDue } from './archive-rows.ts';

/** What keeping a batch changes besides, all of it or none. */
export interface AsideEffects {
  readonly epoch: Item;
  /** Conditional on what was read. */
  readonly fenced: readonly Write[];
  /** Rows that may stand there already, and then stay as they are. */
  readonly rows: readonly Write[];
  /** Nothing else was kept beside this epoch since it had so many batches. */
  readonly annexBatches?: number;
}
export const NO_EFFECTS: AsideEffects = { epoch: {}, fenced: [], rows: [] };

const unmoved = (annexBatches: number | undefined): Condition[] =>
  annexBatches === undefined
    ? []
    : [{ attr: 'annexBatches', op: '=', value: annexBatches, orAbsent: annexBatches === 0 }];

const isFull = (epoch: Item | null): boolean => epoch === null || Number(epoch.annexBatches ?? 0) >= ANNEX_MAX_BATCHES;

export type Kept =
  /** Also when the same batch stands there already: its effects came with it. */
  | 'kept'
  | 'other_digest'
  /** The epoch may keep no more, or never was: nothing is stored. */
  | 'full'
  /** Another writer was faster: read again. */
  | 'lost';

/** @param put of `annexPut` or `quarantinePut`, which are conditional on their key being free */
export const keepAside = async (
  db: Database,
  ref: SessionRef,
  epoch: number,
  put: Put,
  effects: AsideEffects = NO_EFFECTS,
): Promise<Kept> => {
  const fixed: Write[] = [
    put,
    {
      kind: 'update',
      table: 'sessions',
      key: epochKey(ref, epoch),
      ...(Object.keys(effects.epoch).length === 0 ? {} : { set: effects.epoch }),
      add: { annexBatches: 1 },
      conditions: [
        { attr: 'pk', is: 'present' },
        { attr: 'annexBatches', op: '<', value: ANNEX_MAX_BATCHES, orAbsent: true },
        ...unmoved(effects.annexBatches),
      ],
    },
    /** Of a session that goes on this finds nothing to do. */
    archiveDue(ref, Number(put.item.committedAtMs)),
    ...effects.fenced,
  ];
  const result = await db.transact([...fixed, ...effects.rows]);
  if (result.ok) return 'kept';
  const taken = result.failed.find(({ index }) => index === 0);
  if (taken !== undefined && taken.item?.digest === put.item.digest) return 'kept';
  const counted = result.failed.find(({ index }) => index === 1);
  /** What took the place since may be the same events with other borders: another look tells. */
  if (counted !== undefined && !isFull(counted.item)) return 'lost';
  if (taken !== undefined) return 'other_digest';
  if (counted !== undefined) return 'full';
  const standing = new Set(result.failed.map(({ index }) => index - fixed.length));
  const rows = effects.rows.filter((_, index) => !standing.has(index));
  /** Without what stands there already; a fence that fell needs another look. */
  if (rows.length === effects.rows.length || result.failed.some(({ index }) => index < fixed.length)) return 'lost';
  return keepAside(db, ref, epoch, put, { ...effects, rows });
};
