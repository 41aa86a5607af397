/** Checkpoints that committed events name: the newest is what the next epoch goes on from, the one before it is kept beside it. */
import { CHECKPOINT_MAX_BYTES } from '../../shared/limits.ts';
import type { Item } from '../database.ts';
import type { SessionMeta, SessionRef } from '../sessions/session-store.ts';
import { checkpointObjectKey } from './chunks.ts';
import type { NamedCheckpoint } from './fold-batch.ts';

/** The key as the control plane grants it, of this session and epoch only: a compromised runner cannot name another object. */
const isGranted = (ref: SessionRef, epoch: number, { checkpointKey, sizeBytes, sha256 }: NamedCheckpoint): boolean => {
  const number = Number(/-(\d{6})\.tar\.gz$/.exec(checkpointKey)?.[1] ?? Number.NaN);
  return (
    checkpointKey === checkpointObjectKey(ref, epoch, number) &&
    sizeBytes >= 1 &&
    sizeBytes <= CHECKPOINT_MAX_BYTES &&
    /^[0-9a-f]{64}$/.test(sha256)
  );
};

/**
 * Keys hold epoch and number in fixed digits, so the newest has the greatest.
 * @returns what changes in META, and the objects that nothing names any more after it
 */
export const takeCheckpoints = (
  ref: SessionRef,
  meta: Pick<SessionMeta, 'checkpoint' | 'previousCheckpointKey'>,
  epoch: number,
  named: readonly NamedCheckpoint[],
  nowMs: number,
): { meta: Item; obsoleteKeys: readonly string[] } => {
  let { checkpoint, previousCheckpointKey } = meta;
  const obsoleteKeys: string[] = [];
  for (const one of named) {
    if (!isGranted(ref, epoch, one) || (checkpoint !== null && one.checkpointKey <= checkpoint.key)) continue;
    if (previousCheckpointKey !== null) obsoleteKeys.push(previousCheckpointKey);
    previousCheckpointKey = checkpoint?.key ?? null;
    const { checkpointKey: key, sizeBytes, sha256 } = one;
    checkpoint = { key, sizeBytes, sha256, epoch, atMs: nowMs };
  }
  return checkpoint === meta.checkpoint
    ? { meta: {}, obsoleteKeys }
    : { meta: { checkpoint, previousCheckpointKey }, obsoleteKeys };
};
