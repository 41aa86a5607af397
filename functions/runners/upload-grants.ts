/** Presigned PUTs for what a runner wants to store, under keys that the control plane computes; and what is deleted in return. */
import type { Clock } from '../../shared/clock.ts';
import type { UploadGrant, UploadRefusal, UploadWish } from '../../shared/frames.ts';
import {
  CHECKPOINT_MAX_BYTES,
  CHECKPOINT_NUMBER_MAX,
  DIFF_OBJECT_MAX_BYTES,
  TRANSCRIPT_CHUNK_MAX_BYTES,
  TRANSCRIPT_CHUNK_NUMBER_MAX,
  UPLOAD_GRANT_TTL_MS,
} from '../../shared/limits.ts';
import type { ObjectStore } from '../sessions/ports.ts';
import type { SessionRef } from '../sessions/session-store.ts';
import { checkpointObjectKey, chunkObjectKey, diffObjectKey } from '../streams/chunks.ts';

interface Kind {
  readonly keyOf: (ref: SessionRef, epoch: number, number: number) => string;
  readonly maxBytes: number;
  readonly maxNumber: number;
}
const KINDS: Readonly<Record<UploadWish['kind'], Kind>> = {
  transcript: {
    keyOf: chunkObjectKey,
    maxBytes: TRANSCRIPT_CHUNK_MAX_BYTES,
    maxNumber: TRANSCRIPT_CHUNK_NUMBER_MAX,
  },
  /** Each is found by the key in its event: nothing sorts them. */
  diff: { keyOf: diffObjectKey, maxBytes: DIFF_OBJECT_MAX_BYTES, maxNumber: Number.MAX_SAFE_INTEGER },
  checkpoint: { keyOf: checkpointObjectKey, maxBytes: CHECKPOINT_MAX_BYTES, maxNumber: CHECKPOINT_NUMBER_MAX },
};

/** A runner is not trusted with how much it stores: what no runner in order asks for is refused for good, and it is told so. */
const refusalOf = ({ kind, number, sizeBytes }: UploadWish): UploadRefusal | null => {
  const { maxBytes, maxNumber } = KINDS[kind];
  if (sizeBytes > maxBytes) return { kind, number, reason: 'too_large', limit: maxBytes };
  return number > maxNumber ? { kind, number, reason: 'number_too_high', limit: maxNumber } : null;
};

/** @returns the two fields of an ack; `refused` only where something is */
export const grantsFor = async (
  ports: { readonly objects: ObjectStore; readonly clock: Clock },
  ref: SessionRef,
  epoch: number,
  wishes: readonly UploadWish[],
): Promise<{ grants: UploadGrant[]; refused?: UploadRefusal[] }> => {
  const refused = wishes.flatMap((wish) => refusalOf(wish) ?? []);
  const grants = await Promise.all(
    wishes
      .filter((wish) => refusalOf(wish) === null)
      .map(async ({ kind, number, sizeBytes, sha256Base64 }) => {
        const key = KINDS[kind].keyOf(ref, epoch, number);
        const { url, headers } = await ports.objects.presignPut({
          key,
          sizeBytes,
          sha256Base64,
          ttlMs: UPLOAD_GRANT_TTL_MS,
        });
        return { kind, number, key, url, headers, expiresAtMs: ports.clock.nowMs() + UPLOAD_GRANT_TTL_MS };
      }),
  );
  return refused.length === 0 ? { grants } : { grants, refused };
};

/** Room is made as far as the store allows: an object that stays is no harm to the session, and goes with the bucket's own expiry. */
export const deleteObsolete = async (objects: ObjectStore, keys: readonly string[] = []): Promise<void> => {
  await Promise.allSettled(keys.map((key) => objects.delete(key)));
};
