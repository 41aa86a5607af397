/** What happened, newest last, each with its time; bookkeeping on demand. */
import { useEffect, useRef, useState } from 'react';
import type { SessionEvent } from '../../../shared/events.ts';
import { Button } from '../ui/button.tsx';
import { Notice } from '../ui/notice.tsx';
import { type EventTone, eventWords, isQuiet } from './event-words.ts';
import type { SessionEvents } from './use-events.ts';

/** Rows in the document at once; older ones come by the button. */
const ROWS_STEP = 300;
const DOTS: Readonly<Record<EventTone, string>> = {
  plain: 'bg-line-strong',
  good: 'bg-accent',
  warn: 'bg-warn',
  bad: 'bg-danger',
};
const TITLES: Readonly<Record<EventTone, string>> = { plain: '', good: '', warn: 'text-warn', bad: 'text-danger' };

export const EventsPanel = ({ log }: { log: SessionEvents }) => {
  const [all, setAll] = useState(false);
  const [rows, setRows] = useState(ROWS_STEP);
  const list = useRef<HTMLOListElement>(null);
  const atEnd = useRef(true);
  const chosen = all ? log.events : log.events.filter((event) => !isQuiet(event));
  const shown = chosen.slice(-rows);
  const newest = shown.at(-1)?.seq;
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new last event is what scrolls, not a changed element.
  useEffect(() => {
    if (atEnd.current) list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [newest, all]);
  return (
    <div className="flex min-h-0 flex-1 flex-col" data-testid="events-panel">
      <div className="flex items-center justify-between gap-2 px-4 py-2 text-[13px] text-muted">
        <span className="tabular">{shown.length === 1 ? '1 event' : `${shown.length} events`}</span>
        <label className="flex min-h-7 items-center gap-1.5">
          <input
            type="checkbox"
            className="accent-(--c-accent-ground)"
            checked={all}
            onChange={(event) => setAll(event.target.checked)}
          />
          bookkeeping too
        </label>
      </div>
      {log.problem === null ? null : (
        <div className="px-4 pb-2">
          <Notice look="warn" title="Events are not complete">
            {log.problem}
          </Notice>
        </div>
      )}
      <ol
        ref={list}
        className="min-h-0 flex-1 overflow-y-auto px-4 pb-4"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard.
        tabIndex={0}
        aria-label="Events"
        onScroll={({ currentTarget: at }) => {
          atEnd.current = at.scrollHeight - at.scrollTop - at.clientHeight < 24;
        }}
      >
        {log.hasOlder || chosen.length > shown.length ? (
          <li className="pb-2 text-center">
            <Button
              small
              rank="quiet"
              onClick={() => {
                setRows(rows + ROWS_STEP);
                if (chosen.length <= rows) void log.loadOlder();
              }}
            >
              Older events
            </Button>
          </li>
        ) : null}
        {shown.length === 0 ? <li className="text-sm text-muted">Nothing happened yet.</li> : null}
        {shown.map((event) => (
          <Row key={event.seq} event={event} />
        ))}
      </ol>
    </div>
  );
};

const Row = ({ event }: { event: SessionEvent }) => {
  const { title, detail, tone } = eventWords(event);
  return (
    <li
      data-testid="event"
      data-type={event.type}
      className="grid grid-cols-[auto_1fr_auto] gap-x-2.5 py-1.5 text-sm [contain-intrinsic-size:auto_2.5rem] [content-visibility:auto]"
    >
      <span className={`mt-2 size-1.5 rounded-full ${DOTS[tone]}`} />
      <span className="min-w-0">
        <span className={`font-medium ${TITLES[tone]}`}>{title}</span>
        {detail === '' ? null : <span className="line-clamp-3 text-[13px] break-words text-muted">{detail}</span>}
      </span>
      <time
        className="tabular mt-0.5 text-xs text-muted"
        dateTime={new Date(event.ts).toISOString()}
        title={`${new Date(event.ts).toLocaleString()} · ${event.type} · #${event.seq}`}
      >
        {new Date(event.ts).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' })}
      </time>
    </li>
  );
};
