/** All sessions, by what they ask of a person. */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect } from 'react';
import { HOSTED_POOL, type SessionView } from '../../../shared/session.ts';
import { sessionsQuery } from '../api/queries.ts';
import { buttonClass } from '../ui/button.tsx';
import { Icon } from '../ui/icon.tsx';
import { Notice } from '../ui/notice.tsx';
import { poolWords } from '../ui/session-words.ts';
import { StateBadge } from '../ui/state-badge.tsx';
import { useNow } from '../ui/use-now.ts';
import { agoWords, providerName, repositoryName } from '../ui/words.ts';
import { GROUP_TITLES, groupSessions, type SessionGroup } from './group-sessions.ts';

export const SessionsPage = () => {
  const list = useQuery(sessionsQuery);
  const nowMs = useNow(1_000);
  const groups = groupSessions(list.data?.sessions ?? []);
  const needed = groups.needs_you.length;
  useEffect(() => {
    document.title = needed > 0 ? `(${needed}) Agent Village` : 'Agent Village';
  }, [needed]);
  return (
    <div className="mx-auto w-full max-w-5xl px-3 py-7 sm:px-5">
      <h1 className="text-2xl font-semibold tracking-tight">Sessions</h1>
      {list.isError ? (
        <div className="mt-4">
          <Notice look="warn" title="This list is not fresh">
            {list.error.message}
          </Notice>
        </div>
      ) : null}
      {list.isPending ? <p className="mt-6 text-muted">Loading…</p> : null}
      {list.data?.sessions.length === 0 ? <Empty /> : null}
      {(['needs_you', 'working', 'queued', 'done'] as const).map((group) => (
        <Group key={group} group={group} sessions={groups[group]} nowMs={nowMs} />
      ))}
    </div>
  );
};

const Empty = () => (
  <section
    data-testid="empty"
    className="mt-6 rounded-2xl border border-dashed border-line-strong/50 bg-surface px-6 py-14 text-center"
  >
    <h2 className="text-lg font-semibold">No sessions yet</h2>
    <p className="mx-auto mt-2 max-w-md text-muted">
      A session is one coding agent at work on one repository. Name a repository, say what to do, and watch. The demo
      model needs no key.
    </p>
    <Link to="/new" className={`${buttonClass('primary')} mt-6`}>
      <Icon name="plus" /> Start a session
    </Link>
  </section>
);

interface GroupProps {
  readonly group: SessionGroup;
  readonly sessions: readonly SessionView[];
  readonly nowMs: number;
}

const Group = ({ group, sessions, nowMs }: GroupProps) => {
  if (sessions.length === 0) return null;
  return (
    <section className="mt-7" data-testid={`group-${group}`} aria-labelledby={`group-${group}`}>
      <h2
        id={`group-${group}`}
        className={`flex items-baseline gap-2 text-sm font-semibold ${group === 'needs_you' ? 'text-warn' : 'text-muted'}`}
      >
        {GROUP_TITLES[group]} <span className="tabular font-normal">{sessions.length}</span>
      </h2>
      <ul className="mt-2 divide-y divide-line overflow-hidden rounded-2xl border border-line bg-surface shadow-xs">
        {sessions.map((session) => (
          <Row key={session.sessionId} session={session} nowMs={nowMs} />
        ))}
      </ul>
    </section>
  );
};

const Row = ({ session, nowMs }: { session: SessionView; nowMs: number }) => (
  <li data-testid="session-row" className="relative hover:bg-raised/60">
    <Link
      to="/sessions/$sessionId"
      params={{ sessionId: session.sessionId }}
      className="grid grid-cols-[auto_1fr] items-center gap-x-4 gap-y-1 px-4 py-3.5 sm:grid-cols-[1fr_11rem_5.5rem]"
    >
      <span className="col-span-2 min-w-0 sm:col-span-1">
        <span className="block truncate font-medium">{session.title}</span>
        <span className="block truncate text-[13px] text-muted">
          {providerName(session.provider)} · {repositoryName(session.repository.url)}
          {session.repository.ref === undefined ? '' : ` · ${session.repository.ref}`}
          {session.pool === HOSTED_POOL ? '' : ` · ${poolWords(session.pool)}`}
        </span>
        {session.state === 'failed' && session.reason !== null ? (
          <span className="mt-0.5 block truncate text-[13px] text-danger">{session.reason.message}</span>
        ) : null}
      </span>
      <span>
        <StateBadge session={session} />
      </span>
      <time
        dateTime={session.lastEventAt}
        title={`Last event ${new Date(session.lastEventAt).toLocaleString()}`}
        className="tabular text-[13px] text-muted sm:justify-self-end"
      >
        <span className="sr-only">last event </span>
        {agoWords(nowMs - Date.parse(session.lastEventAt))}
      </time>
    </Link>
  </li>
);
