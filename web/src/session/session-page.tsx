/** One session: terminal, events, files and facts side by side, or one at a time on a phone. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { lazy, Suspense, useCallback, useEffect, useRef, useState } from 'react';
import type { SessionEvent } from '../../../shared/events.ts';
import { isFinal, type SessionView } from '../../../shared/session.ts';
import { ApiError } from '../api/client.ts';
import { diffQuery, sessionQuery } from '../api/queries.ts';
import { Icon } from '../ui/icon.tsx';
import { LostPage } from '../ui/lost-page.tsx';
import { Notice } from '../ui/notice.tsx';
import { StateBadge } from '../ui/state-badge.tsx';
import { useNow } from '../ui/use-now.ts';
import { agoWords, providerName, repositoryName } from '../ui/words.ts';
import { BootPanel } from './boot-panel.tsx';
import { isBooting } from './boot-steps.ts';
import { epochWords } from './epoch-words.ts';
import { EventsPanel } from './events-panel.tsx';
import { FactsPanel } from './facts-panel.tsx';
import { FilesPanel } from './files-panel.tsx';
import { NoticeBanners } from './notice-banners.tsx';
import { SessionActions } from './session-actions.tsx';
import { sessionNotices } from './session-notices.ts';
import { type SessionTab, SessionTabs } from './session-tabs.tsx';
import { useAskSession } from './use-ask-session.ts';
import { type SessionEvents, useEvents } from './use-events.ts';
import { useIsolation } from './use-isolation.ts';

const TerminalPane = lazy(() =>
  import('../terminal/terminal-pane.tsx').then((module) => ({ default: module.TerminalPane })),
);

const ReplayPane = lazy(() => import('../replay/replay-pane.tsx').then((module) => ({ default: module.ReplayPane })));

export const SessionPage = () => {
  const { sessionId } = useParams({ from: '/sessions/$sessionId' });
  const session = useQuery(sessionQuery(sessionId));
  if (session.data !== undefined) return <Loaded key={sessionId} session={session.data} stale={session.error} />;
  if (session.isPending) return <p className="m-auto p-8 text-muted">Opening the session…</p>;
  if (session.error instanceof ApiError && session.error.status === 404) return <LostPage />;
  return (
    <div className="m-auto w-full max-w-xl p-6">
      <Notice look="danger" title="The session cannot be shown">
        {session.error.message}
      </Notice>
    </div>
  );
};

const CHANGES_FILES: ReadonlySet<SessionEvent['type']> = new Set(['diff_summary', 'file_touched', 'commit_created']);

/** Live frames reach the caches that polling fills too: whichever is newer wins. */
const useLive = (session: SessionView, log: SessionEvents) => {
  const { sessionId } = session;
  const queryClient = useQueryClient();
  const { add } = log;
  const onEvent = useCallback(
    (event: SessionEvent) => {
      add(event);
      if (CHANGES_FILES.has(event.type))
        void queryClient.invalidateQueries({ queryKey: diffQuery(sessionId, true).queryKey });
    },
    [add, queryClient, sessionId],
  );
  const onSession = useCallback(
    (next: SessionView) => {
      queryClient.setQueryData(sessionQuery(sessionId).queryKey, (before) =>
        before !== undefined && before.head.seq > next.head.seq ? before : next,
      );
    },
    [queryClient, sessionId],
  );
  const onStateChange = useCallback(() => {
    void queryClient.invalidateQueries({ queryKey: sessionQuery(sessionId).queryKey });
    void queryClient.invalidateQueries({ queryKey: diffQuery(sessionId, true).queryKey });
  }, [queryClient, sessionId]);
  return { onEvent, onSession, onStateChange };
};

/** To what stands beside it; on a phone, where nothing does, to the choice of panels. */
const leaveTerminal = (details: HTMLElement | null): void => {
  const isBeside = details !== null && details.offsetParent !== null;
  const next = isBeside ? details : document.querySelector<HTMLElement>('nav [aria-current=true]');
  next?.focus();
};

const Loaded = ({ session, stale }: { session: SessionView; stale: Error | null }) => {
  const log = useEvents(session.sessionId, session.head.seq);
  const live = useLive(session, log);
  const isolation = useIsolation(session.sessionId, log);
  const [tab, setTab] = useState<SessionTab>('terminal');
  const details = useRef<HTMLElement>(null);
  const booting = isBooting(session, log.events);
  // A start that failed before any output, or waits in the queue, has nothing to show in a terminal.
  const isStill = isFinal(session.state) || session.queuePosition !== null;
  const hasTerminal = !(booting && isStill && session.head.offset === 0);
  useEffect(() => {
    document.title = `${session.title} · Agent Village`;
  }, [session.title]);
  // The replay takes the terminal's place; the terminal stays attached behind it.
  const isMain = tab === 'terminal' || tab === 'replay';
  const side = isMain ? 'events' : tab;
  return (
    <div className="flex h-[calc(100dvh-3.25rem-1px)] min-h-0 flex-col">
      <Header session={session} stale={stale} tellsReason={!booting} />
      <div className="flex min-h-0 flex-1 flex-col lg:grid lg:grid-cols-[minmax(0,1fr)_26rem] lg:grid-rows-[auto_minmax(0,1fr)] xl:grid-cols-[minmax(0,1fr)_30rem]">
        <SessionTabs tab={tab} onTab={setTab} />
        <div
          className={`relative min-h-0 min-w-0 flex-1 flex-col lg:col-start-1 lg:row-span-2 lg:row-start-1 ${isMain ? 'flex' : 'hidden lg:flex'}`}
        >
          {booting ? (
            <div className={`overflow-y-auto ${hasTerminal ? 'max-h-[55%] shrink-0 border-b border-line' : 'flex-1'}`}>
              <BootPanel session={session} events={log.events} />
            </div>
          ) : null}
          {hasTerminal ? (
            <Suspense fallback={<div className="flex-1 bg-terminal" />}>
              <TerminalPane
                session={session}
                eventsUpTo={log.upTo}
                epochWords={(epoch) => epochWords(log.newest(), epoch)}
                notices={booting ? null : <Notices session={session} events={log.events} />}
                onLeave={() => leaveTerminal(details.current)}
                {...live}
              />
            </Suspense>
          ) : null}
          {tab === 'replay' ? (
            <Suspense fallback={<div className="absolute inset-0 z-20 bg-terminal" />}>
              <ReplayPane session={session} onLeave={() => setTab('terminal')} />
            </Suspense>
          ) : null}
        </div>
        <aside
          ref={details}
          tabIndex={-1}
          aria-label="Details"
          className={`min-h-0 w-full flex-1 flex-col border-line bg-surface lg:col-start-2 lg:row-start-2 lg:flex lg:border-l ${isMain ? 'hidden' : 'flex'}`}
        >
          {side === 'events' ? <EventsPanel log={log} /> : null}
          {side === 'files' ? <FilesPanel sessionId={session.sessionId} live={!isFinal(session.state)} /> : null}
          {side === 'facts' ? <FactsPanel session={session} isolation={isolation} /> : null}
        </aside>
      </div>
    </div>
  );
};

const Notices = ({ session, events }: { session: SessionView; events: readonly SessionEvent[] }) => {
  const nowMs = useNow(5_000);
  const ask = useAskSession(session);
  return <NoticeBanners notices={sessionNotices(session, events, nowMs)} onResume={() => ask.mutate('resume')} />;
};

interface HeaderProps {
  readonly session: SessionView;
  readonly stale: Error | null;
  /** The boot panel says why a start failed; otherwise the header does. */
  readonly tellsReason: boolean;
}

const Header = ({ session, stale, tellsReason }: HeaderProps) => {
  const nowMs = useNow(1_000);
  return (
    <div className="flex flex-wrap items-center gap-x-4 gap-y-2 border-b border-line bg-surface px-3 py-2.5 sm:px-5">
      <Link
        to="/"
        aria-label="All sessions"
        className="-ml-2 grid size-8 place-items-center rounded-md text-muted hover:bg-raised hover:text-text"
      >
        <Icon name="back" />
      </Link>
      <div className="min-w-0 flex-1 basis-[calc(100%-4rem)] sm:basis-0">
        <h1 className="truncate font-semibold">{session.title}</h1>
        <p className="truncate text-[13px] text-muted">
          {providerName(session.provider)} · {repositoryName(session.repository.url)} ·{' '}
          <span title={session.lastEventAt}>last event {agoWords(nowMs - Date.parse(session.lastEventAt))}</span>
          {stale === null ? null : <span className="text-warn"> · not fresh: {stale.message}</span>}
        </p>
      </div>
      <div className="flex flex-1 items-center justify-between gap-4 sm:flex-none">
        <StateBadge session={session} />
        <SessionActions session={session} />
      </div>
      {tellsReason && session.state === 'failed' && session.reason !== null ? (
        <p className="w-full text-[13px] text-danger" role="alert" data-testid="reason">
          {session.reason.message} {session.reason.hint}
        </p>
      ) : null}
    </div>
  );
};
