/**
 * The way to a session's runner: a pointer that only a higher dial sets and only its own connection clears, and a short memory of it.
 * A remembered pointer stays correct: a frame names its epoch, a closed connection answers `gone` and is looked up again, and an older
 * connection that still stands ends in the same runner.
 */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import type { ControlToRunnerFrame } from '../../shared/frames.ts';
import { CONNECTION_TTL_MS } from '../../shared/limits.ts';
import type { Database, Key } from '../database.ts';
import type { RunnerSender } from '../sessions/ports.ts';
import { type SessionRef, sessionPk } from '../sessions/session-store.ts';

const MEMORY_MS = 2_000;
const MEMORY_MAX = 10_000;
/** Higher epochs win over any dial of a lower one. */
const DIALS_PER_EPOCH = 1_000_000;

const Pointer = z.looseObject({ connectionId: z.string(), epoch: z.int(), dial: z.int() });
type Pointer = z.infer<typeof Pointer>;
const keyOf = (ref: SessionRef): Key => ({ pk: sessionPk(ref), sk: 'RUNNER' });

export interface RunnerLine {
  /** @returns whether a connection took the frame: that of the epoch's runner, where the frame names one */
  post(ref: SessionRef, frame: ControlToRunnerFrame): Promise<boolean>;
  /** @returns `false` when a higher dial stands already */
  set(ref: SessionRef, pointer: Pointer): Promise<boolean>;
  clear(ref: SessionRef, connectionId: string): Promise<void>;
}

export const runnerLine = ({ db, sender, clock }: { db: Database; sender: RunnerSender; clock: Clock }): RunnerLine => {
  const memory = new Map<string, { pointer: Pointer; untilMs: number }>();

  const read = async (ref: SessionRef): Promise<Pointer | null> => {
    const item = await db.get('connections', keyOf(ref));
    const pointer = item === null ? null : Pointer.parse(item);
    if (pointer === null) return null;
    if (memory.size >= MEMORY_MAX) memory.delete(memory.keys().next().value ?? '');
    memory.set(sessionPk(ref), { pointer, untilMs: clock.monotonicMs() + MEMORY_MS });
    return pointer;
  };

  const remembered = (ref: SessionRef): Pointer | null => {
    const entry = memory.get(sessionPk(ref));
    return entry !== undefined && entry.untilMs > clock.monotonicMs() ? entry.pointer : null;
  };

  return {
    post: async (ref, frame) => {
      /** A runner that holds other sessions stays connected when it gave this one back: it is not the runner of the next epoch. */
      const postTo = async (pointer: Pointer | null): Promise<boolean> =>
        pointer !== null &&
        (!('epoch' in frame) || frame.epoch === pointer.epoch) &&
        (await sender.post(pointer.connectionId, frame)) === 'sent';
      if (await postTo(remembered(ref))) return true;
      memory.delete(sessionPk(ref));
      return postTo(await read(ref));
    },
    set: async (ref, pointer) => {
      const order = pointer.epoch * DIALS_PER_EPOCH + Math.min(pointer.dial, DIALS_PER_EPOCH - 1);
      memory.delete(sessionPk(ref));
      const written = await db.write({
        kind: 'put',
        table: 'connections',
        item: {
          ...keyOf(ref),
          ...pointer,
          order,
          expiresAtSec: Math.ceil((clock.nowMs() + CONNECTION_TTL_MS) / 1_000),
        },
        conditions: [{ attr: 'order', op: '<', value: order, orAbsent: true }],
      });
      /** A hello repeated on the same connection sets what stands already. */
      return written.ok || written.item?.connectionId === pointer.connectionId;
    },
    clear: async (ref, connectionId) => {
      memory.delete(sessionPk(ref));
      await db.write({
        kind: 'delete',
        table: 'connections',
        key: keyOf(ref),
        conditions: [{ attr: 'connectionId', op: '=', value: connectionId }],
      });
    },
  };
};
