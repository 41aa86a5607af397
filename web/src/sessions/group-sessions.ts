/** Sorts sessions by what they ask of a person: needs you, working, done (experience.md 1 and 9). */
import { isFinal, type SessionState, type SessionView } from '../../../shared/session.ts';

export type SessionGroup = 'needs_you' | 'working' | 'done';
export const GROUP_TITLES: Readonly<Record<SessionGroup, string>> = {
  needs_you: 'Needs you',
  working: 'Working',
  done: 'Done',
};

export const groupOf = (state: SessionState): SessionGroup =>
  isFinal(state) ? 'done' : state === 'waiting_for_approval' || state === 'paused_by_human' ? 'needs_you' : 'working';

/** Waiting longest first where a person is needed, else the latest event first. */
export const groupSessions = (sessions: readonly SessionView[]): Record<SessionGroup, SessionView[]> => {
  const groups: Record<SessionGroup, SessionView[]> = { needs_you: [], working: [], done: [] };
  const latestFirst = [...sessions].sort((a, b) => b.lastEventAt.localeCompare(a.lastEventAt));
  for (const session of latestFirst) groups[groupOf(session.state)].push(session);
  groups.needs_you.reverse();
  return groups;
};
