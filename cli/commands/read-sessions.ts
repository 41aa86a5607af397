/** `village sessions list`, `show` and `diff`. */
import type { Command } from 'commander';
import pc from 'picocolors';
import { z } from 'zod';
import { EventPage, SessionDiff, SessionList } from '../../shared/http.ts';
import { isolationWords } from '../../shared/isolation.ts';
import { PAGE_MAX } from '../../shared/limits.ts';
import { SESSION_STATES, SessionState, SessionView } from '../../shared/session.ts';
import { CliError } from '../cli-error.ts';
import type { Run } from '../run.ts';
import { sessionIdOf } from '../session-id.ts';
import { table } from '../table.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** `12 s`, `3 min`, `5 h`, `2 d`. */
export const ageText = (sinceIso: string, nowMs: number): string => {
  const ms = Math.max(0, nowMs - Date.parse(sinceIso));
  if (ms < MINUTE_MS) return `${Math.floor(ms / 1_000)} s`;
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min`;
  if (ms < 24 * HOUR_MS) return `${Math.floor(ms / HOUR_MS)} h`;
  return `${Math.floor(ms / (24 * HOUR_MS))} d`;
};

const listLines = (sessions: readonly SessionView[], nowMs: number): string[] =>
  table([
    ['SESSION', 'STATE', 'PROVIDER', 'LAST EVENT', 'TITLE'],
    ...sessions.map((one) => [one.sessionId, one.state, one.provider, ageText(one.lastEventAt, nowMs), one.title]),
  ]);

/** Its pool, and what of it runs the session or that it waits there. */
export const whereText = ({ pool, placement, queuePosition, parked }: SessionView): string => {
  if (queuePosition !== null) return `${pool}, waits for a runner at position ${queuePosition}`;
  if (parked) return `${pool}, parked: it needs no runner until it is resumed`;
  if (placement === null) return pool;
  return 'runnerId' in placement ? `${pool}, runner ${placement.runnerId}` : `${pool}, a task of its own`;
};

/** What `show` prints of a session; `isolation` is `null` until its agent was started. */
export const showLines = (view: SessionView, isolation: string | null): string[] => [
  ...table([
    ['session', view.sessionId],
    ['title', view.title],
    ['state', view.state],
    ['provider', `${view.provider} (${view.model}) on ${view.buildId}`],
    ['runs on', whereText(view)],
    ...(isolation === null ? [] : [['isolation', isolation]]),
    ['repository', [view.repository.url, view.repository.ref, view.repository.roomPath].filter(Boolean).join(' ')],
    ['created', `${view.createdAt} by ${view.createdBy}`],
    ['last event', view.lastEventAt],
    ['epoch', `${view.epoch}, terminal at ${view.head.offset}, event ${view.head.seq}`],
  ]),
  ...(view.reason === null ? [] : ['', `${view.reason.message} (${view.reason.code})`]),
  ...(view.reason?.hint === undefined ? [] : [view.reason.hint]),
  ...(view.reason?.lastScreen === undefined ? [] : ['', 'last screen:', view.reason.lastScreen]),
];

const ListOptions = z.object({
  state: SessionState.optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_MAX),
});

const addList = (sessions: Command, run: Run): void => {
  sessions
    .command('list')
    .description('list sessions, newest first')
    .option('--state <state>', `one of ${SESSION_STATES.join(', ')}`)
    .option('--limit <n>', 'how many', '50')
    .action(
      run(async ({ output, api }, _args, options) => {
        const parsed = ListOptions.safeParse(options);
        if (!parsed.success) throw new CliError('usage', `sessions list: ${z.prettifyError(parsed.error)}`);
        const { state, limit } = parsed.data;
        const query = new URLSearchParams({ limit: String(limit), ...(state === undefined ? {} : { state }) });
        const page = await api().get(`/api/sessions?${query}`, SessionList);
        if (output.json) return output.object(page);
        if (page.sessions.length === 0) return output.note('No sessions yet: village sessions start');
        for (const line of listLines(page.sessions, Date.now())) output.line(line);
      }),
    );
};

export const addReadSessions = (sessions: Command, run: Run): void => {
  addList(sessions, run);
  sessions
    .command('show <id>')
    .description('show one session')
    .action(
      run(async ({ output, api }, [id]) => {
        const view = await api().get(`/api/sessions/${sessionIdOf(id)}`, SessionView);
        if (output.json) return output.object(view);
        const first = await api().get(`/api/sessions/${view.sessionId}/events?fromSeq=1`, EventPage);
        for (const line of showLines(view, isolationWords(first.events))) output.line(line);
      }),
    );
  sessions
    .command('diff <id>')
    .description('what the session changed, as a patch')
    .action(
      run(async ({ output, api }, [id]) => {
        const diff = await api().get(`/api/sessions/${sessionIdOf(id)}/diff`, SessionDiff);
        if (output.json) return output.object(diff);
        output.raw(diff.patch);
        output.note(
          `${diff.files.length} files, ${pc.green(`+${diff.linesAdded}`)} ${pc.red(`-${diff.linesRemoved}`)}${diff.truncated ? ' (cut)' : ''}`,
        );
      }),
    );
};
