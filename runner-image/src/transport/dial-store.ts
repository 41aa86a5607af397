/**
 * The runner's credential and dial number on its private disk: the next credential is written down before the control
 * plane hears of it, so that a dial whose answer was lost can be repeated and is not a lock-out.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Random } from '../../../shared/clock.ts';
import { nextRunnerCredential } from '../../../shared/runner-credential.ts';
import { type Disk, isDiskFull, realDisk } from './disk.ts';

const Stored = z.strictObject({
  current: z.string().min(1),
  /** Told to the control plane with a dial whose outcome is not known yet. */
  next: z.string().min(1).nullable(),
  dial: z.int().min(0),
});
type Stored = z.infer<typeof Stored>;

const SECRET_BYTES = 32;

export interface DialTicket {
  /** Rises with every dial of this runner. */
  readonly dial: number;
  readonly credential: string;
  readonly nextCredentialSha256: string;
}

export interface DialStore {
  /** Numbers a dial; the same next credential is offered until a dial succeeded. */
  begin(): DialTicket;
  /** The dial with this number was answered: the next credential is in force. */
  succeeded(dial: number): void;
}

/** `startToken` counts only while nothing is stored. Throws when the file is damaged: guessing would lock us out. */
export const openDialStore = (path: string, startToken: string, random: Random, disk: Disk = realDisk): DialStore => {
  const text = disk.read(path);
  // First start: there is nothing to go on from but the one-use token.
  let stored: Stored =
    text === undefined ? { current: startToken, next: null, dial: 0 } : Stored.parse(JSON.parse(text));
  /** The credential each unanswered dial offered: two may be open during a planned re-dial. */
  const offered = new Map<number, string>();
  const save = (next: Stored): void => {
    disk.replace(path, JSON.stringify(next), true);
    stored = next;
  };
  return {
    begin() {
      const next = stored.next ?? nextRunnerCredential(stored.current, random.hex(SECRET_BYTES));
      const dial = stored.dial + 1;
      save({ ...stored, next, dial });
      offered.clear();
      offered.set(dial, next);
      const nextCredentialSha256 = createHash('sha256').update(next).digest('hex');
      return { dial, credential: stored.current, nextCredentialSha256 };
    },
    succeeded(dial) {
      const next = offered.get(dial);
      if (next === undefined) return;
      try {
        save({ ...stored, current: next, next: null });
      } catch (error) {
        // The next dial offers the same exchange again, and the control plane knows it.
        if (!isDiskFull(error)) throw error;
      }
    },
  };
};

/** The credential in force, for a start that brings none; `undefined` where nothing is stored. Throws when the file is damaged. */
export const storedCredential = (path: string, disk: Disk = realDisk): string | undefined => {
  const text = disk.read(path);
  return text === undefined ? undefined : Stored.parse(JSON.parse(text)).current;
};
