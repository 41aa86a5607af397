/** Who leads a session, and who asks to: one row, whose lead moves only by a write conditional on its term. */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { CONTROL_REQUEST_EXPIRES_MS, SESSION_SIDE_ROWS_TTL_MS } from '../../shared/limits.ts';
import { ControlRequest } from '../../shared/session.ts';
import type { Condition, Database, Item, Key } from '../database.ts';
import { type SessionRef, sessionPk } from '../sessions/session-store.ts';

export const Control = z.object({
  rev: z.int().default(0),
  controllerId: z.string().nullable().default(null),
  controlTerm: z.int().default(0),
  apiInputSeq: z.int().default(0),
  /** The one question that waits; it ends with the term. */
  request: ControlRequest.nullable().default(null),
});
export type Control = z.infer<typeof Control>;

export const controlKey = (ref: SessionRef): Key => ({ pk: sessionPk(ref), sk: 'CONTROL' });

/** What was read before a write: who is there, and who leads. */
interface Seen {
  readonly viewers: readonly { readonly viewerId: string }[];
  readonly control: Control;
}
const isHere = ({ viewers }: Seen, viewerId: string | null): boolean =>
  viewers.some((viewer) => viewer.viewerId === viewerId);

/** The question that counts: of somebody who is still there and does not lead. */
export const openRequest = (seen: Seen): ControlRequest | null => {
  const { request, controllerId } = seen.control;
  if (request === null || controllerId === null || request.viewerId === controllerId) return null;
  return isHere(seen, request.viewerId) ? request : null;
};

/** The writes that move the revision: who leads is decided by one conditional write. */
export const controlWrites = (db: Database, clock: Clock) => {
  const update = (ref: SessionRef, set: Item, conditions: Condition[] = []) =>
    db.write({ kind: 'update', table: 'connections', key: controlKey(ref), set, add: { rev: 1 }, conditions });
  const inTerm = (controlTerm: number): Condition[] => [
    { attr: 'controlTerm', op: '=', value: controlTerm, orAbsent: true },
  ];

  const bump = async (ref: SessionRef): Promise<void> => {
    await update(ref, { expiresAtSec: Math.ceil((clock.nowMs() + SESSION_SIDE_ROWS_TTL_MS) / 1_000) });
  };
  const lead = async (ref: SessionRef, controllerId: string | null, controlTerm: number): Promise<void> => {
    await update(ref, { controllerId, controlTerm: controlTerm + 1, request: null }, inTerm(controlTerm));
  };

  /** One round of the conditional write; the caller reads again, so a lost round shows the winner. */
  const claim = async (ref: SessionRef, viewerId: string, seen: Seen, takeOver: boolean): Promise<void> => {
    const { controllerId, controlTerm } = seen.control;
    if (controllerId === viewerId) return;
    if (isHere(seen, controllerId) && !takeOver) return;
    await lead(ref, viewerId, controlTerm);
  };

  /** A leader that attaches to watch gives the keyboard back; nobody else's lead changes. */
  const release = async (ref: SessionRef, viewerId: string, { control }: Seen): Promise<void> => {
    if (control.controllerId === viewerId) await lead(ref, null, control.controlTerm);
  };

  /** Asks, or takes its own question back. Nobody to ask means that the keyboard is free; somebody else's open question stands. */
  const ask = async (ref: SessionRef, viewerId: string, seen: Seen, wanted: boolean): Promise<void> => {
    const { controllerId, controlTerm } = seen.control;
    const open = openRequest(seen);
    const isMine = open?.viewerId === viewerId;
    if (!isHere(seen, viewerId) || controllerId === viewerId) return;
    if (!wanted) {
      if (isMine) await update(ref, { request: null }, inTerm(controlTerm));
      return;
    }
    if (!isHere(seen, controllerId)) {
      await lead(ref, viewerId, controlTerm);
      return;
    }
    const sinceMs = clock.nowMs();
    const stands = open !== null && sinceMs - open.sinceMs < CONTROL_REQUEST_EXPIRES_MS;
    // A repeat changes nothing while it waits; after a no it asks anew.
    if (stands && !(isMine && open.declined)) return;
    await update(ref, { request: { viewerId, sinceMs, declined: false } }, inTerm(controlTerm));
  };

  /** Of the one who leads in that very term, to the one who asks. */
  const answer = async (
    ref: SessionRef,
    viewerId: string,
    seen: Seen,
    { controlTerm, toViewerId, allow }: { controlTerm: number; toViewerId: string; allow: boolean },
  ): Promise<void> => {
    const { control } = seen;
    const open = openRequest(seen);
    if (control.controllerId !== viewerId || control.controlTerm !== controlTerm || open?.viewerId !== toViewerId)
      return;
    if (allow) await lead(ref, toViewerId, controlTerm);
    else await update(ref, { request: { ...open, declined: true } }, inTerm(controlTerm));
  };

  return { bump, claim, release, ask, answer };
};
