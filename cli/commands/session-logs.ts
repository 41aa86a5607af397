/** `village sessions logs`: the terminal as text, or with --json the durable events, one per line. */
import type { Command } from 'commander';
import { sleep, systemClock } from '../../shared/clock.ts';
import { EventPage } from '../../shared/http.ts';
import { TERMINAL_DEFAULT } from '../../shared/limits.ts';
import { isFinal, SessionView, type StreamAddress } from '../../shared/session.ts';
import type { ApiClient } from '../api-client.ts';
import type { Output } from '../output.ts';
import type { Run } from '../run.ts';
import { sessionIdOf } from '../session-id.ts';
import { viewerLine } from '../viewer/dial.ts';
import { createScreenText, type ScreenText } from '../viewer/screen-text.ts';
import { playTranscript } from '../viewer/transcript.ts';
import { ViewerClient } from '../viewer/viewer-client.ts';

const EVENTS_PER_PAGE = 1_000;
const POLL_MS = 500;
const LOOK_MS = 50;
/** A live session whose runner does not answer within this shows what is stored. */
const TAIL_TIMEOUT_MS = 5_000;
/** Silence after which what stands on the screen is taken as final enough to print. */
const SETTLED_MS = 300;

const readView = (api: ApiClient, sessionId: string): Promise<SessionView> =>
  api.get(`/api/sessions/${sessionId}`, SessionView);

/** Prints events to the end; with `follow` until the session has ended and its last event is out. */
const printEvents = async (api: ApiClient, sessionId: string, output: Output, follow: boolean): Promise<void> => {
  let fromSeq = 0;
  for (;;) {
    const view = follow ? await readView(api, sessionId) : undefined;
    for (let isEnd = false; !isEnd; ) {
      const query = new URLSearchParams({ fromSeq: String(fromSeq), limit: String(EVENTS_PER_PAGE) });
      const page = await api.get(`/api/sessions/${sessionId}/events?${query}`, EventPage);
      for (const event of page.events) output.object(event);
      isEnd = page.nextSeq > page.headSeq || page.nextSeq <= fromSeq;
      fromSeq = Math.max(fromSeq, page.nextSeq);
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

export const addSessionLogs = (sessions: Command, run: Run): void => {
  sessions
    .command('logs <id>')
    .description('the terminal as text; with --json the durable events, one per line')
    .option('-f, --follow', 'go on until the session ends')
    .action(
      run(async ({ output, api }, [id], { follow }) => {
        const print = output.json ? printEvents : printText;
        await print(api(), sessionIdOf(id), output, follow === true);
      }),
    );
};
