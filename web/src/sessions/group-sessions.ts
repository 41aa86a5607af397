/** Sorts sessions by what they ask of a person: needs you, working, queued, done (experience.md 1 and 9). */
import { isFinal, type SessionView } from '../../../shared/session.ts';
import { isResting } from '../ui/session-words.ts';

export type SessionGroup = 'needs_you' | 'working' | 'queued' | 'done';
export const GROUP_TITLES: Readonly<Record<SessionGroup, string>> = {
  needs_you: 'Needs you',
  working: 'Working',
  queued: 'Queued',
  done: 'Done',
};

export const groupOf = (session: SessionView): SessionGroup => {
  if (isFinal(session.state)) return 'done';
  if (session.queuePosition !== null) return 'queued';
  return isResting(session) || (session.parked && session.desired === 'pause') ? 'needs_you' : 'working';
};

/** Waiting longest first where a person is needed, next to start first in the queue, else the latest event first. */
export const groupSessions = (sessions: readonly SessionView[]): Record<SessionGroup, SessionView[]> => {
  const groups: Record<SessionGroup, SessionView[]> = { needs_you: [], working: [], queued: [], done: [] };
  const latestFirst = [...sessions].sort((a, b) => b.lastEventAt.localeCompare(a.lastEventAt));
  for (const session of latestFirst) groups[groupOf(session)].push(session);
  groups.needs_you.reverse();
  groups.queued.sort((a, b) => (a.queuePosition ?? 0) - (b.queuePosition ?? 0));
  return groups;
};
