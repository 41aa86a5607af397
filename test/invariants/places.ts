/**
 * No place leaks and none is given twice: what each runner holds, its counter, the placements of the sessions and the queue say the same.
 * Needs the runners' table; without it only the queue is looked at.
 */
import type { StoredHost, StoredSession, StoredVillage } from './stored.ts';
import { findings, type Violation } from './violation.ts';

const nameOf = ({ sessionId, epoch }: { sessionId: string; epoch: number }): string => `${sessionId}#${epoch}`;

/** What runs each open epoch, by its name. */
const placedOf = (sessions: readonly StoredSession[]) =>
  new Map(
    sessions.flatMap(({ ref, head, meta }) =>
      head.open ? [[nameOf({ sessionId: ref.sessionId, epoch: head.epoch }), meta.placement] as const] : [],
    ),
  );
type Placed = ReturnType<typeof placedOf>;

const checkHost = ({ host, held }: StoredHost, placed: Placed): Violation[] => {
  const { violations, expect } = findings(null);
  const { runnerId, live, maxSessions } = host;
  const names = held.map(nameOf).join(', ') || 'nothing';
  expect(live === held.length, 'places', `${runnerId}: the counter says ${live}, it holds ${names}`);
  expect(held.length <= maxSessions, 'places', `${runnerId}: ${maxSessions} at most, it holds ${names}`);
  for (const one of held) {
    const placement = placed.get(nameOf(one));
    const isOn = placement?.kind === 'group' && placement.runnerId === runnerId;
    expect(isOn, 'places', `${runnerId} holds ${nameOf(one)}, which is on ${JSON.stringify(placement)}`);
  }
  return violations;
};

const checkHeld = ({ sessions, runners }: StoredVillage): Violation[] => {
  const { violations, expect } = findings(null);
  if (runners === null) return [];
  const { hosts, warm } = runners;
  for (const { ref, head, meta } of sessions) {
    const { placement } = meta;
    if (!head.open || placement === null || placement.kind === 'task') continue;
    const { sessionId } = ref;
    const holds = (one: { sessionId: string; epoch: number }) =>
      one.sessionId === sessionId && one.epoch === head.epoch;
    const isHeld =
      placement.kind === 'group'
        ? hosts.some(({ host, held }) => host.runnerId === placement.runnerId && held.some(holds))
        : warm.some(
            ({ runnerId, claimedFor }) => runnerId === placement.runnerId && claimedFor !== null && holds(claimedFor),
          );
    const isForgotten = placement.kind === 'warm' && !warm.some(({ runnerId }) => runnerId === placement.runnerId);
    expect(isHeld || isForgotten, 'places', `${sessionId} is on ${placement.runnerId}, which does not hold it`);
  }
  return violations;
};

const checkWarm = ({ runners }: StoredVillage, placed: Placed): Violation[] => {
  const { violations, expect } = findings(null);
  if (runners === null) return [];
  for (const { runnerId, state, claimedFor } of runners.warm) {
    expect(
      (state === 'claimed') === (claimedFor !== null),
      'warm_pool',
      `${runnerId} is ${state} for ${JSON.stringify(claimedFor)}`,
    );
    if (claimedFor === null) continue;
    const placement = placed.get(nameOf(claimedFor));
    const isOn = placement?.kind === 'warm' && placement.runnerId === runnerId;
    expect(
      isOn,
      'warm_pool',
      `${runnerId} is claimed for ${nameOf(claimedFor)}, which is on ${JSON.stringify(placement)}`,
    );
  }
  for (const { runnerId } of runners.idle) {
    const state = runners.warm.find((one) => one.runnerId === runnerId)?.state;
    expect(state === 'idle', 'warm_pool', `${runnerId} can be claimed and is ${state ?? 'forgotten'}`);
  }
  return violations;
};

const checkQueue = ({ sessions, queued }: StoredVillage): Violation[] => {
  const { violations, expect } = findings(null);
  const waiting = new Set(queued.map(nameOf));
  for (const { ref, head, meta } of sessions) {
    const name = nameOf({ sessionId: ref.sessionId, epoch: head.epoch });
    const waits = head.open && meta.queuePosition !== null;
    expect(
      waits === waiting.has(name),
      'queue',
      `${name}: position ${meta.queuePosition}, and ${waits ? 'not ' : ''}in the queue`,
    );
    expect(!waits || meta.placement === null, 'queue', `${name} waits and is on ${JSON.stringify(meta.placement)}`);
    waiting.delete(name);
  }
  for (const name of waiting) expect(false, 'queue', `${name} waits, and is no open epoch`);
  return violations;
};

/** Every session is over: nothing is held, and nobody waits. */
const checkAllGivenBack = ({ runners, queued }: StoredVillage): Violation[] => {
  const { violations, expect } = findings(null);
  for (const { host } of runners?.hosts ?? [])
    expect(host.live === 0, 'places', `${host.runnerId} still holds ${host.live} places`);
  expect(queued.length === 0, 'queue', `${queued.map(nameOf).join(', ')} still wait`);
  return violations;
};

export const checkPlaces = (stored: StoredVillage, isOver: boolean): Violation[] => {
  const placed = placedOf(stored.sessions);
  const strays = stored.runners?.strays ?? [];
  const lost = findings(null);
  for (const stray of strays)
    lost.expect(false, 'places', `${nameOf(stray)} is held by ${stray.runnerId}, which is forgotten`);
  return [
    ...(stored.runners?.hosts ?? []).flatMap((one) => checkHost(one, placed)),
    ...lost.violations,
    ...checkHeld(stored),
    ...checkWarm(stored, placed),
    ...checkQueue(stored),
    ...(isOver ? checkAllGivenBack(stored) : []),
  ];
};
