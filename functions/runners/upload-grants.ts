/** Presigned PUTs for what a runner wants to store, under keys that the control plane computes; and what is deleted in return. */
import type { Clock } from '../../shared/clock.ts';
import type { UploadGrant, UploadWish } from '../../shared/frames.ts';
import { CHECKPOINT_MAX_BYTES, CHECKPOINT_NUMBER_MAX, UPLOAD_GRANT_TTL_MS } from '../../shared/limits.ts';
import type { ObjectStore } from '../sessions/ports.ts';
import type { SessionRef } from '../sessions/session-store.ts';
import { checkpointObjectKey, chunkObjectKey, diffObjectKey } from '../streams/chunks.ts';

const KEYS = { transcript: chunkObjectKey, diff: diffObjectKey, checkpoint: checkpointObjectKey } as const;

/** Not granted: the runner gives it up, and says so in its own words. */
const isRefused = ({ kind, sizeBytes, number }: UploadWish): boolean =>
  kind === 'checkpoint' && (sizeBytes > CHECKPOINT_MAX_BYTES || number > CHECKPOINT_NUMBER_MAX);

export const grantsFor = (
  ports: { readonly objects: ObjectStore; readonly clock: Clock },
  ref: SessionRef,
  epoch: number,
  wishes: readonly UploadWish[],
): Promise<UploadGrant[]> =>
  Promise.all(
    wishes
      .filter((wish) => !isRefused(wish))
      .map(async ({ kind, number, sizeBytes, sha256Base64 }) => {
        const key = KEYS[kind](ref, epoch, number);
        const { url, headers } = await ports.objects.presignPut({
          key,
          sizeBytes,
          sha256Base64,
          ttlMs: UPLOAD_GRANT_TTL_MS,
        });
        return { kind, number, key, url, headers, expiresAtMs: ports.clock.nowMs() + UPLOAD_GRANT_TTL_MS };
      }),
  );

/** Room is made as far as the store allows: an object that stays is no harm to the session, and goes with the bucket's own expiry. */
export const deleteObsolete = async (objects: ObjectStore, keys: readonly string[] = []): Promise<void> => {
  await Promise.allSettled(keys.map((key) => objects.delete(key)));
};
