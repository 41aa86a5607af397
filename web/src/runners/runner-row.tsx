/** One runner: what it is, what it holds, and its two ways out. */
import { Link } from '@tanstack/react-router';
import type { RunnerInfo, RunnerState } from '../../../shared/http.ts';
import { ProviderId } from '../../../shared/providers.ts';
import { Button } from '../ui/button.tsx';
import { agoWords, providerName } from '../ui/words.ts';
import { RUNNER_STATE_WORDS } from './runner-groups.ts';

const LOOKS: Readonly<Record<RunnerState, string>> = {
  connected: 'text-accent bg-accent-soft',
  serving: 'text-accent bg-accent-soft',
  draining: 'text-warn bg-warn-soft',
  lost: 'text-danger bg-danger-soft',
  registered: 'text-info bg-info-soft',
  disconnected: 'text-warn bg-warn-soft',
  stopped: 'text-muted bg-raised',
  revoked: 'text-muted bg-raised',
};

const RunnerBadge = ({ state, warm }: { state: RunnerState; warm: boolean }) => (
  <span
    data-testid="runner-state"
    data-state={state}
    className={`inline-flex items-center gap-1.5 rounded-full px-2.5 py-0.5 text-[13px] font-medium whitespace-nowrap ${LOOKS[state]}`}
  >
    <span className="size-1.5 rounded-full bg-current" />
    {warm ? 'Warm' : RUNNER_STATE_WORDS[state]}
  </span>
);

interface RunnerRowProps {
  readonly runner: RunnerInfo;
  readonly nowMs: number;
  /** What a session is called, where that is known. */
  readonly titleOf: (sessionId: string) => string | undefined;
  readonly onDrain?: () => void;
  readonly onRevoke?: () => void;
}

const aboutOf = ({ runnerVersion, clis, isolation, lastSeenAt }: RunnerInfo, nowMs: number): string =>
  [
    runnerVersion === '' ? 'waits for its command to be run' : `version ${runnerVersion}`,
    ...ProviderId.options.flatMap((provider) =>
      clis[provider] === undefined ? [] : [`${providerName(provider)} ${clis[provider]}`],
    ),
    ...(isolation === 'shared_uid' ? ['agents share its user'] : []),
    ...(lastSeenAt === null ? [] : [`heard ${agoWords(nowMs - Date.parse(lastSeenAt))}`]),
  ].join(' · ');

export const RunnerRow = ({ runner, nowMs, titleOf, onDrain, onRevoke }: RunnerRowProps) => {
  const held =
    runner.sessions.length > 0 || runner.sessionId === null ? runner.sessions : [{ sessionId: runner.sessionId }];
  return (
    <li
      data-testid="runner-row"
      className="grid grid-cols-[1fr_auto] items-center gap-x-4 gap-y-1.5 px-4 py-3 sm:grid-cols-[1fr_9rem_7.5rem_9.5rem]"
    >
      <div className="min-w-0">
        <p className="truncate font-medium">{runner.name ?? runner.runnerId}</p>
        <p className="text-[13px] text-pretty text-muted sm:truncate" title={runner.runnerId}>
          {aboutOf(runner, nowMs)}
        </p>
      </div>
      <span className="justify-self-end sm:justify-self-start">
        <RunnerBadge state={runner.state} warm={runner.kind === 'warm' && held.length === 0} />
      </span>
      <span className="tabular text-[13px] text-muted">
        {held.length} of {runner.capacity} {runner.capacity === 1 ? 'session' : 'sessions'}
      </span>
      <span className="flex justify-end gap-2">
        {onDrain === undefined || runner.state !== 'serving' ? null : (
          <Button small onClick={onDrain} data-testid="drain">
            Drain
          </Button>
        )}
        {onRevoke === undefined || runner.state === 'revoked' ? null : (
          <Button small rank="danger" onClick={onRevoke} data-testid="revoke">
            Revoke
          </Button>
        )}
      </span>
      {held.length === 0 ? null : (
        <p className="col-span-full flex flex-wrap gap-x-3 text-[13px]">
          {held.map(({ sessionId }) => (
            <Link
              key={sessionId}
              to="/sessions/$sessionId"
              params={{ sessionId }}
              className="max-w-full truncate text-accent underline underline-offset-2"
            >
              {titleOf(sessionId) ?? sessionId}
            </Link>
          ))}
        </p>
      )}
    </li>
  );
};
