/** `village sessions logs`: the terminal as text, or the durable events, one per line and from any number on. */
import type { Command } from 'commander';
import { z } from 'zod';
import { sleep, systemClock } from '../../shared/clock.ts';
import type { SessionEvent } from '../../shared/events.ts';
import { EventPage } from '../../shared/http.ts';
import { TERMINAL_DEFAULT } from '../../shared/limits.ts';
import { isFinal, SessionView, type StreamAddress } from '../../shared/session.ts';
import type { ApiClient } from '../api-client.ts';
import { CliError } from '../cli-error.ts';
import type { Output } from '../output.ts';
import type { Run } from '../run.ts';
import { sessionIdOf } from '../session-id.ts';
import { viewerLine } from '../viewer/dial.ts';
import { createScreenText, type ScreenText } from '../viewer/screen-text.ts';
import { playTranscript } from '../viewer/transcript.ts';
import { ViewerClient } from '../viewer/viewer-client.ts';

const EVENTS_PER_PAGE = 1_000;
const BODY_MAX_CHARS = 160;
const POLL_MS = 500;
const LOOK_MS = 50;
/** A live session whose runner does not answer within this shows what is stored. */
const TAIL_TIMEOUT_MS = 5_000;
/** Silence after which what stands on the screen is taken as final enough to print. */
const SETTLED_MS = 300;

const readView = (api: ApiClient, sessionId: string): Promise<SessionView> =>
  api.get(`/api/sessions/${sessionId}`, SessionView);

/** One event on one line: number, time, place in the terminal, type, and its body as far as a line goes. */
export const eventLine = (event: SessionEvent): string => {
  const {
    seq,
    ts,
    epoch,
    offset,
    type,
    v: _v,
    sessionId: _sessionId,
    tenantId: _tenantId,
    rseq: _rseq,
    ...body
  } = event;
  const text = JSON.stringify(body);
  const short = text.length > BODY_MAX_CHARS ? `${text.slice(0, BODY_MAX_CHARS)}…` : text;
  return `${seq}  ${new Date(ts).toISOString()}  ${epoch}:${offset}  ${type}  ${short}`;
};

interface EventsWanted {
  readonly fromSeq: number;
  /** No more than these; the rest is asked for from the number that is told. */
  readonly limit: number;
  readonly follow: boolean;
}

/** Prints events to the end; with `follow` until the session has ended and its last event is out. */
const printEvents = async (api: ApiClient, sessionId: string, output: Output, wanted: EventsWanted): Promise<void> => {
  let { fromSeq, limit: left } = wanted;
  for (;;) {
    const view = wanted.follow ? await readView(api, sessionId) : undefined;
    for (let isEnd = false; !isEnd; ) {
      const limit = Math.min(EVENTS_PER_PAGE, left);
      const query = new URLSearchParams({ fromSeq: String(fromSeq), limit: String(limit) });
      const page = await api.get(`/api/sessions/${sessionId}/events?${query}`, EventPage);
      for (const event of page.events) {
        if (output.json) output.object(event);
        else output.line(eventLine(event));
      }
      left -= page.events.length;
      isEnd = page.nextSeq > page.headSeq || page.nextSeq <= fromSeq;
      fromSeq = Math.max(fromSeq, page.nextSeq);
      if (left > 0) continue;
      if (!isEnd) output.note(`there is more, up to ${page.headSeq}: go on with --from-seq ${fromSeq}`);
      return;
    }
    if (view === undefined || isFinal(view.state)) return;
    await sleep(systemClock, POLL_MS);
  }
};

const watch = (api: ApiClient, sessionId: string, screen: ScreenText, from: StreamAddress | null): ViewerClient =>
  new ViewerClient({
    line: viewerLine(api),
    sessionId,
    mode: 'watch',
    size: TERMINAL_DEFAULT,
    terminal: screen,
    from: from ?? undefined,
  });

/** Brings the screen to where the live session is now. */
const catchUp = async (viewer: ViewerClient): Promise<void> => {
  const deadlineMs = systemClock.monotonicMs() + TAIL_TIMEOUT_MS;
  while (!viewer.isCaughtUp && systemClock.monotonicMs() < deadlineMs)
    await Promise.race([sleep(systemClock, LOOK_MS), viewer.done]);
};

/** Prints lines that stand still until the session has ended. */
const followScreen = async (
  api: ApiClient,
  sessionId: string,
  viewer: ViewerClient,
  print: (all: boolean) => Promise<void>,
): Promise<void> => {
  for (;;) {
    const { state } = await readView(api, sessionId);
    if (isFinal(state)) return catchUp(viewer);
    const before = viewer.position;
    await Promise.race([sleep(systemClock, SETTLED_MS), viewer.done]);
    if (before?.offset === viewer.position?.offset) await print(false);
  }
};

const printText = async (api: ApiClient, sessionId: string, output: Output, follow: boolean): Promise<void> => {
  const screen = createScreenText(TERMINAL_DEFAULT);
  let printed = 0;
  const print = async (all: boolean): Promise<void> => {
    await screen.flush();
    const lines = screen.lines();
    const until = all ? lines.length : lines.length - 1;
    for (; printed < until; printed += 1) output.line(lines[printed] ?? '');
  };
  const { at, live, skipped, unreadable } = await playTranscript(api, sessionId, screen);
  if (skipped) output.note('The beginning is left out: it is too long.');
  if (unreadable > 0) output.note(`${unreadable} pieces of the transcript could not be read.`);
  if (live) {
    const viewer = watch(api, sessionId, screen, at);
    try {
      await catchUp(viewer);
      if (follow) await followScreen(api, sessionId, viewer, print);
    } finally {
      viewer.close();
    }
  }
  await print(true);
  screen.dispose();
};

const LogOptions = z.object({
  follow: z.boolean().default(false),
  fromSeq: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).optional(),
});

export const addSessionLogs = (sessions: Command, run: Run): void => {
  sessions
    .command('logs <id>')
    .description('the terminal as text; with --json or --from-seq the durable events, one per line')
    .option('-f, --follow', 'go on until the session ends')
    .option('--from-seq <n>', 'events from this number on')
    .option('--limit <n>', 'at most so many events')
    .action(
      run(async ({ output, api }, [id], options) => {
        const parsed = LogOptions.safeParse(options);
        if (!parsed.success) throw new CliError('usage', `sessions logs: ${z.prettifyError(parsed.error)}`);
        const { follow, fromSeq, limit } = parsed.data;
        const isEvents = output.json || fromSeq !== undefined || limit !== undefined;
        const wanted = { fromSeq: fromSeq ?? 0, limit: limit ?? Number.POSITIVE_INFINITY, follow };
        if (isEvents) await printEvents(api(), sessionIdOf(id), output, wanted);
        else await printText(api(), sessionIdOf(id), output, follow);
      }),
    );
};
