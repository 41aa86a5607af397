/** Runners of one's own by group, with their free places, and what the village itself runs. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { toast } from 'sonner';
import type { RunnerInfo } from '../../../shared/http.ts';
import { isFinal } from '../../../shared/session.ts';
import { drainRunner, revokeRunner, runnersQuery, sessionsQuery } from '../api/queries.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Icon } from '../ui/icon.tsx';
import { Notice } from '../ui/notice.tsx';
import { useNow } from '../ui/use-now.ts';
import { plural } from '../ui/words.ts';
import { RegisterRunner } from './register-runner.tsx';
import { freeWords, groupsOf, hostedOf, type RunnerGroupView } from './runner-groups.ts';
import { RunnerRow } from './runner-row.tsx';

type Ask = { readonly what: 'drain' | 'revoke'; readonly runner: RunnerInfo };

export const RunnersPage = () => {
  const list = useQuery(runnersQuery);
  const sessions = useQuery(sessionsQuery);
  const sessionOf = (sessionId: string) => sessions.data?.sessions.find((session) => session.sessionId === sessionId);
  const titleOf = (sessionId: string) => sessionOf(sessionId)?.title;
  const needsRunner = (sessionId: string) => {
    const session = sessionOf(sessionId);
    return session !== undefined && !isFinal(session.state) && !session.parked;
  };
  const nowMs = useNow(1_000);
  const [registers, setRegisters] = useState(false);
  const [revokes, setRevokes] = useState<RunnerInfo | null>(null);
  const queryClient = useQueryClient();
  const ask = useMutation({
    mutationFn: ({ what, runner }: Ask) =>
      what === 'drain' ? drainRunner(runner.runnerId) : revokeRunner(runner.runnerId),
    onError: (error) => toast.error(error.message),
    onSettled: () => queryClient.invalidateQueries({ queryKey: runnersQuery.queryKey }),
  });
  useEffect(() => {
    document.title = 'Runners · Agent Village';
  }, []);
  const runners = list.data?.runners ?? [];
  const groups = groupsOf(runners);
  const hosted = hostedOf(runners, needsRunner);
  return (
    <div className="mx-auto w-full max-w-5xl px-3 py-7 sm:px-5">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h1 className="text-2xl font-semibold tracking-tight">Runners</h1>
        <Button rank="primary" onClick={() => setRegisters(true)} data-testid="register-runner">
          <Icon name="plus" /> Register a runner
        </Button>
      </div>
      {list.isError ? (
        <div className="mt-4">
          <Notice look="warn" title="This list is not fresh">
            {list.error.message}
          </Notice>
        </div>
      ) : null}
      {list.isSuccess && groups.length === 0 ? <Empty /> : null}
      {groups.map((group) => (
        <Group
          key={group.group}
          view={group}
          nowMs={nowMs}
          titleOf={titleOf}
          onDrain={(runner) => ask.mutate({ what: 'drain', runner })}
          onRevoke={setRevokes}
        />
      ))}
      {hosted.length === 0 ? null : (
        <section className="mt-7" aria-labelledby="hosted">
          <h2 id="hosted" className="flex items-baseline gap-2 text-sm font-semibold text-muted">
            The village’s own <span className="tabular font-normal">{hosted.length}</span>
          </h2>
          <List>
            {hosted.map((runner) => (
              <RunnerRow key={runner.runnerId} runner={runner} nowMs={nowMs} titleOf={titleOf} />
            ))}
          </List>
        </section>
      )}
      <RegisterRunner open={registers} onClose={() => setRegisters(false)} />
      <Dialog
        open={revokes !== null}
        title="Revoke this runner?"
        onClose={() => setRevokes(null)}
        testId="revoke-dialog"
      >
        <p className="text-sm text-muted">
          Within a minute it can reach nothing any more, and its sessions go on elsewhere from their last checkpoint:{' '}
          {plural(revokes?.sessions.length ?? 0, 'session')} now. To lose nothing of them, drain it first. A revoked
          runner does not come back.
        </p>
        <div className="mt-5 flex justify-end gap-2">
          <Button onClick={() => setRevokes(null)}>Keep it</Button>
          <Button
            rank="danger"
            data-testid="confirm-revoke"
            onClick={() => {
              if (revokes !== null) ask.mutate({ what: 'revoke', runner: revokes });
              setRevokes(null);
            }}
          >
            Revoke it
          </Button>
        </div>
      </Dialog>
    </div>
  );
};

const Empty = () => (
  <section
    data-testid="no-runners"
    className="mt-6 rounded-2xl border border-dashed border-line-strong/50 bg-surface px-6 py-12 text-center"
  >
    <h2 className="text-lg font-semibold">No runners of your own</h2>
    <p className="mx-auto mt-2 max-w-md text-muted">
      Sessions run on the village’s machines. Register a runner to have them run on yours: one command, nothing of your
      network leaves it but the terminals.
    </p>
  </section>
);

const List = ({ children }: { children: React.ReactNode }) => (
  <ul className="mt-2 divide-y divide-line overflow-hidden rounded-2xl border border-line bg-surface shadow-xs">
    {children}
  </ul>
);

interface GroupProps {
  readonly view: RunnerGroupView;
  readonly nowMs: number;
  readonly titleOf: (sessionId: string) => string | undefined;
  readonly onDrain: (runner: RunnerInfo) => void;
  readonly onRevoke: (runner: RunnerInfo) => void;
}

const Group = ({ view, nowMs, titleOf, onDrain, onRevoke }: GroupProps) => (
  <section className="mt-7" data-testid="runner-group" aria-labelledby={`group-${view.group}`}>
    <h2 id={`group-${view.group}`} className="flex items-baseline gap-2 text-sm font-semibold text-muted">
      {view.group} <span className="tabular font-normal">{freeWords(view)}</span>
    </h2>
    <List>
      {view.runners.map((runner) => (
        <RunnerRow
          key={runner.runnerId}
          runner={runner}
          nowMs={nowMs}
          titleOf={titleOf}
          onDrain={() => onDrain(runner)}
          onRevoke={() => onRevoke(runner)}
        />
      ))}
    </List>
  </section>
);
