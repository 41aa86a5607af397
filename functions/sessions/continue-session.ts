/**
 * Takes a session on from where it stands: raises the next epoch of a suspended one and gives it a runner, ends one that was asked to
 * stop, places an epoch again whose raiser died. Called by the stream of the sessions table, by the reaper and by a resume, as often as
 * they like.
 */
import { PLACE_RETRY_MS } from '../../shared/limits.ts';
import { decideContinue } from './decide-continue.ts';
import { endSuspended } from './end-suspended.ts';
import { type PlacePorts, placeEpoch } from './place-epoch.ts';
import { raiseEpoch } from './raise-epoch.ts';
import { metaKey, type SessionRecord, type SessionRef } from './session-store.ts';

export type Continued =
  /** The next epoch was raised by this call, and a runner asked for. */
  | 'raised'
  /** An open epoch was placed again. */
  | 'placed'
  | 'ended'
  /** Not yet: parked, or backing off. */
  | 'waiting'
  | 'nothing';

/** The next attempt is due later, and only one caller makes this one: two would ask for two runners. */
const claimPlacing = async (ports: PlacePorts, ref: SessionRef, { meta, head }: SessionRecord): Promise<boolean> => {
  const claimed = await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    set: { nextCheckAtMs: ports.clock.nowMs() + PLACE_RETRY_MS },
    conditions: [
      { attr: 'nextCheckAtMs', op: '=', value: meta.nextCheckAtMs ?? 0, orAbsent: true },
      { attr: 'epoch', op: '=', value: head.epoch },
      { attr: 'liveShard', is: 'present' },
    ],
  });
  return claimed.ok;
};

const place = async (ports: PlacePorts, ref: SessionRef): Promise<void> => {
  const meta = await ports.sessions.meta(ref);
  if (meta !== null) await placeEpoch(ports, ref, meta);
};

/** @throws what placing throws: the epoch stands then without a runner, and the reaper places it again */
export const continueSession = async (ports: PlacePorts, ref: SessionRef): Promise<Continued> => {
  const record = await ports.sessions.record(ref);
  if (record === null) return 'nothing';
  const decision = decideContinue(record, ports.clock.nowMs());
  switch (decision.action) {
    case 'raise':
      if (!(await raiseEpoch(ports, ref))) return 'nothing';
      await place(ports, ref);
      return 'raised';
    case 'place':
      if (!(await claimPlacing(ports, ref, record))) return 'nothing';
      await place(ports, ref);
      return 'placed';
    case 'end':
      return (await endSuspended(ports, ref)) ? 'ended' : 'nothing';
    case 'wait':
      return 'waiting';
    case 'nothing':
      return 'nothing';
  }
};
