/** Who leads a session, and who asks to: one row, whose lead moves only by a write conditional on its term. */
import { z } from 'zod';
import type { EventDraft, EventOf } from '../../shared/events.ts';
import { CONTROL_REQUEST_EXPIRES_MS, SESSION_SIDE_ROWS_TTL_MS } from '../../shared/limits.ts';
import { ControlRequest, Device, isFinal } from '../../shared/session.ts';
import type { Condition, Database, Item, Key, Update } from '../database.ts';
import { type SessionRef, sessionPk } from '../sessions/session-store.ts';
import { type AppendPorts, appendEvents } from './append-events.ts';

/** As the log names who had the keyboard: their row may be gone by then. */
const Holder = z.object({ viewerId: z.string(), userId: z.string(), device: Device });
export type Holder = z.infer<typeof Holder>;

export const Control = z.object({
  rev: z.int().default(0),
  controllerId: z.string().nullable().default(null),
  controlTerm: z.int().default(0),
  apiInputSeq: z.int().default(0),
  /** The one question that waits; it ends with the term. */
  request: ControlRequest.nullable().default(null),
  /** Who leads, or led last. */
  lastHolder: Holder.nullable().default(null),
});
export type Control = z.infer<typeof Control>;

export const controlKey = (ref: SessionRef): Key => ({ pk: sessionPk(ref), sk: 'CONTROL' });

/** What was read before a write: who is there, and who leads. */
interface Seen {
  readonly viewers: readonly Holder[];
  readonly control: Control;
}
type How = EventOf<'control_taken'>['how'];

export const readControl = async (db: Database, ref: SessionRef): Promise<Control> =>
  Control.parse((await db.get('connections', controlKey(ref))) ?? {});

/** `null` where nothing went from one to another: the first who leads, or the same one again. */
const takenEvent = ({ lastHolder, controlTerm }: Control, to: Holder, how: How): EventDraft | null => {
  if (lastHolder === null || lastHolder.viewerId === to.viewerId) return null;
  return { type: 'control_taken', ...to, controlTerm: controlTerm + 1, from: lastHolder, how };
};
const viewerIn = ({ viewers }: Seen, viewerId: string | null): Holder | undefined =>
  viewers.find((viewer) => viewer.viewerId === viewerId);
const isHere = (seen: Seen, viewerId: string | null): boolean => viewerIn(seen, viewerId) !== undefined;

/** The question that counts: of somebody who is still there and does not lead. */
export const openRequest = (seen: Seen): ControlRequest | null => {
  const { request, controllerId } = seen.control;
  if (request === null || controllerId === null || request.viewerId === controllerId) return null;
  return isHere(seen, request.viewerId) ? request : null;
};

/** The writes that move the revision: who leads is decided by one conditional write. */
export const controlWrites = (ports: AppendPorts) => {
  const { db, clock } = ports;
  const updateOf = (ref: SessionRef, set: Item, conditions: Condition[] = []): Update => ({
    ...{ kind: 'update', table: 'connections', key: controlKey(ref), set, add: { rev: 1 }, conditions },
  });
  const update = (ref: SessionRef, set: Item, conditions?: Condition[]) => db.write(updateOf(ref, set, conditions));
  const inTerm = (controlTerm: number): Condition[] => [
    { attr: 'controlTerm', op: '=', value: controlTerm, orAbsent: true },
  ];

  const bump = async (ref: SessionRef): Promise<void> => {
    await update(ref, { expiresAtSec: Math.ceil((clock.nowMs() + SESSION_SIDE_ROWS_TTL_MS) / 1_000) });
  };
  const giveUp = async (ref: SessionRef, { controlTerm }: Control): Promise<void> => {
    const set = { controllerId: null, controlTerm: controlTerm + 1, request: null };
    await update(ref, set, inTerm(controlTerm));
  };

  /** A lead that goes from one to another is in the log with the same transaction, or did not happen. */
  const lead = async (ref: SessionRef, to: Holder, seen: Control, how: How): Promise<void> => {
    const { controlTerm } = seen;
    const { viewerId, userId, device } = to;
    const holder = { viewerId, userId, device };
    const set = { controllerId: viewerId, controlTerm: controlTerm + 1, request: null, lastHolder: holder };
    const write = updateOf(ref, set, inTerm(controlTerm));
    const event = takenEvent(seen, holder, how);
    if (event === null) return void (await db.write(write));
    let isOver = false;
    const result = await appendEvents(ports, ref, async ({ head }) => {
      isOver = isFinal(head.state);
      /** Refused for the head alone it is tried again; a term that moved meanwhile was somebody else's. */
      const isStill = (await readControl(db, ref)).controlTerm === controlTerm;
      return isOver || !isStill ? null : { events: [event], writes: [write] };
    });
    /** Nothing follows a log that is over, and nobody types there. */
    if (isOver || result === null) await db.write(write);
  };

  /** One round of the conditional write; the caller reads again, so a lost round shows the winner. */
  const claim = async (ref: SessionRef, viewer: Holder, seen: Seen, takeOver: boolean): Promise<void> => {
    const { control } = seen;
    if (control.controllerId === viewer.viewerId) return;
    const isHeld = isHere(seen, control.controllerId);
    if (isHeld && !takeOver) return;
    await lead(ref, viewer, control, isHeld ? 'taken' : 'free');
  };

  /** A leader that attaches to watch gives the keyboard back; nobody else's lead changes. */
  const release = async (ref: SessionRef, viewerId: string, { control }: Seen): Promise<void> => {
    if (control.controllerId === viewerId) await giveUp(ref, control);
  };

  /** Asks, or takes its own question back. Nobody to ask means that the keyboard is free; somebody else's open question stands. */
  const ask = async (ref: SessionRef, viewerId: string, seen: Seen, wanted: boolean): Promise<void> => {
    const { controllerId, controlTerm } = seen.control;
    const open = openRequest(seen);
    const isMine = open?.viewerId === viewerId;
    const asker = viewerIn(seen, viewerId);
    if (asker === undefined || controllerId === viewerId) return;
    if (!wanted) {
      if (isMine) await update(ref, { request: null }, inTerm(controlTerm));
      return;
    }
    if (!isHere(seen, controllerId)) {
      await lead(ref, asker, seen.control, 'free');
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
    const asker = viewerIn(seen, toViewerId);
    if (allow && asker !== undefined) await lead(ref, asker, control, 'allowed');
    else if (!allow) await update(ref, { request: { ...open, declined: true } }, inTerm(controlTerm));
  };

  return { bump, claim, release, ask, answer };
};
