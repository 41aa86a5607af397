/** Runners by group, and how many places are free in each. Pure. */
import type { RunnerInfo, RunnerState } from '../../../shared/http.ts';

export interface RunnerGroupView {
  readonly group: string;
  readonly runners: readonly RunnerInfo[];
  /** Of runners that take sessions now. */
  readonly places: number;
  readonly free: number;
}

export const RUNNER_STATE_WORDS: Readonly<Record<RunnerState, string>> = {
  connected: 'Connected',
  disconnected: 'Disconnected',
  stopped: 'Stopped',
  registered: 'Not started yet',
  serving: 'Serving',
  draining: 'Draining',
  lost: 'Lost',
  revoked: 'Revoked',
};

const ORDER: readonly RunnerState[] = [
  'serving',
  'draining',
  'lost',
  'registered',
  'connected',
  'disconnected',
  'stopped',
  'revoked',
];
const nameOf = ({ name, runnerId }: RunnerInfo): string => name ?? runnerId;

/** Customer-hosted runners only; groups by name, what serves first. */
export const groupsOf = (runners: readonly RunnerInfo[]): RunnerGroupView[] => {
  const byGroup = Map.groupBy(
    runners.filter(({ kind, group }) => kind === 'customer' && group !== null),
    ({ group }) => group ?? '',
  );
  return [...byGroup]
    .map(([group, members]) => {
      const serving = members.filter(({ state }) => state === 'serving');
      const places = serving.reduce((sum, { capacity }) => sum + capacity, 0);
      const taken = serving.reduce((sum, { sessions }) => sum + sessions.length, 0);
      const sorted = [...members].sort(
        (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || nameOf(a).localeCompare(nameOf(b)),
      );
      return { group, runners: sorted, places, free: Math.max(0, places - taken) };
    })
    .sort((a, b) => a.group.localeCompare(b.group));
};

/** Of the village itself: what is connected, and what is not though its session still needs it. */
export const hostedOf = (runners: readonly RunnerInfo[], needsRunner: (sessionId: string) => boolean): RunnerInfo[] =>
  runners.filter(
    ({ kind, state, sessionId }) =>
      kind !== 'customer' &&
      (state === 'connected' || (state === 'disconnected' && sessionId !== null && needsRunner(sessionId))),
  );

/** `3 of 4 places free`. */
export const freeWords = ({ free, places }: Pick<RunnerGroupView, 'free' | 'places'>): string => {
  if (places === 0) return 'no runner serves now';
  return free === 0 ? `all ${places} places taken` : `${free} of ${places} ${places === 1 ? 'place' : 'places'} free`;
};
