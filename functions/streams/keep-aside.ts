/** Batches kept beside the log (annex, quarantine): each once, and no more of them per epoch than an item counter allows. */
import { ANNEX_MAX_BATCHES } from '../../shared/limits.ts';
import type { Database, Put } from '../database.ts';
import { epochKey, type SessionRef } from '../sessions/session-store.ts';
import { archiveDue } from './archive-rows.ts';

/**
 * @param put of `annexPut` or `quarantinePut`, which are conditional on their key being free
 * @returns `kept` also when the same batch stands there already; `other_digest` when another does; `full` when the epoch may keep
 *   no more, or never was: nothing is stored then
 */
export const keepAside = async (
  db: Database,
  ref: SessionRef,
  epoch: number,
  put: Put,
): Promise<'kept' | 'other_digest' | 'full'> => {
  const result = await db.transact([
    put,
    {
      kind: 'update',
      table: 'sessions',
      key: epochKey(ref, epoch),
      add: { annexBatches: 1 },
      conditions: [
        { attr: 'pk', is: 'present' },
        { attr: 'annexBatches', op: '<', value: ANNEX_MAX_BATCHES, orAbsent: true },
      ],
    },
    /** Of a session that goes on this finds nothing to do. */
    archiveDue(ref, Number(put.item.committedAtMs)),
  ]);
  if (result.ok) return 'kept';
  const taken = result.failed.find(({ index }) => index === 0);
  if (taken === undefined) return 'full';
  return taken.item?.digest === put.item.digest ? 'kept' : 'other_digest';
};
