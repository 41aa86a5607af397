/** What must be so while nothing goes wrong any more, before anybody asks the sessions to stop. */
import { isServing } from '../../functions/runners/host-store.ts';
import type { Violation } from '../invariants/violation.ts';
import type { World } from './world.ts';

/** Longer than any frame is held back. */
const HELD_BACK_MAX_MS = 18_000;
/** The reaper looks at whoever waits every minute; records of the stream come late. */
const FREE_AND_WAITING_MAX_MS = 150_000;
const REVOKED_HOLDS_MAX_MS = 150_000;

/** Whoever watches a session with a runner is known to that runner: a list that came late must not hide him. */
export const checkWatchers = ({ people, hosts }: World): Violation[] =>
  people.attachedFor(HELD_BACK_MAX_MS).flatMap(({ ref, viewerId }) =>
    hosts.flatMap((host): Violation[] => {
      const session = host.process?.sessions.find(({ core }) => core.assign.sessionId === ref.sessionId);
      if (session === undefined || host.process?.isUp !== true || session.isWatched || session.isEnding) return [];
      return [
        { rule: 'watchers', sessionId: ref.sessionId, message: `${viewerId} watches, and the runner knows nobody` },
      ];
    }),
  );

/** Nobody waits for long where a place is free, and a revoked runner holds nothing. */
export const checkCalm = ({ places, scheduler, calm }: World): Violation[] => {
  const { nowMs } = scheduler;
  const { runners, queued } = places;
  const hosts = runners?.hosts ?? [];
  const found: Violation[] = [];
  for (const { sessionId, group } of queued) {
    const free = hosts.find(({ host }) => host.group === group && isServing(host, nowMs) && host.live < host.capacity);
    const sinceMs = calm.since(`waits ${sessionId}`, free !== undefined, nowMs);
    if (nowMs - sinceMs > FREE_AND_WAITING_MAX_MS)
      found.push({ rule: 'queue', sessionId, message: `it waits, and ${free?.host.runnerId} has had a place free` });
  }
  for (const { host, held } of hosts) {
    const sinceMs = calm.since(`revoked ${host.runnerId}`, host.isRevoked && held.length > 0, nowMs);
    if (nowMs - sinceMs > REVOKED_HOLDS_MAX_MS)
      found.push({
        rule: 'revoked_runner',
        sessionId: null,
        message: `${host.runnerId} is revoked and holds ${held.length}`,
      });
  }
  return found;
};

/** With a size of none nothing is left of the pool of idle runners. */
export const checkPoolIsGone = ({ places }: World): Violation[] => {
  const { warm = [], idle = [] } = places.runners ?? {};
  return [
    ...warm.map(({ runnerId, state }) => `${runnerId} (${state})`),
    ...idle.map(({ runnerId }) => `${runnerId} (to claim)`),
  ].map((name) => ({ rule: 'warm_pool', sessionId: null, message: `${name} is still in the pool` }));
};

/** Since when something is so. */
export class Since {
  readonly #since = new Map<string, number>();

  since(name: string, isSo: boolean, nowMs: number): number {
    if (!isSo) this.#since.delete(name);
    else if (!this.#since.has(name)) this.#since.set(name, nowMs);
    return this.#since.get(name) ?? nowMs;
  }
}
