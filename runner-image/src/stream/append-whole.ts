/** Appending to a file whose length is known: all of it or nothing, since what a full disk cut off would garble what follows. */
import { ftruncateSync, writeSync } from 'node:fs';

/** Hands `bytes` to the kernel behind the first `sizeBytes` of the file; throws with the file as it was. */
export const appendWhole = (file: number, bytes: Uint8Array, sizeBytes: number): void => {
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
  } catch (error) {
    ftruncateSync(file, sizeBytes);
    throw error;
  }
};
