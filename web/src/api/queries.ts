/** Every question the page asks, with how fresh the answer has to be. TanStack Query stops polling in hidden tabs. */
import { queryOptions } from '@tanstack/react-query';
import {
  Accepted,
  BuildList,
  EventPage,
  IDEMPOTENCY_HEADER,
  Me,
  ProviderList,
  type RegisterRunnerBody,
  RunnerAnswer,
  RunnerList,
  RunnerRegistered,
  SessionDiff,
  SessionList,
  SessionStarted,
  type StartSessionBody,
  Ticket,
  Transcript,
} from '../../../shared/http.ts';
import { PAGE_MAX } from '../../../shared/limits.ts';
import { everyRunner } from '../../../shared/runner-pages.ts';
import { isFinal, SessionView, type StreamAddress } from '../../../shared/session.ts';
import { call, isSignedOut } from './client.ts';

const LIST_POLL_MS = 2_000;
const SESSION_POLL_MS = 2_000;
const RUNNERS_POLL_MS = 3_000;
const DIFF_POLL_MS = 5_000;
/** A start asks the repository first, and is answered by a gateway that waits at most this long. */
const START_DEADLINE_MS = 30_000;
const TICKET_DEADLINE_MS = 4_000;

const path = (sessionId: string, rest = '') => `/api/sessions/${encodeURIComponent(sessionId)}${rest}`;

export const meQuery = queryOptions({
  queryKey: ['me'],
  queryFn: ({ signal }) => call('/api/me', Me, { signal }),
  staleTime: 60_000,
});
export const sessionsQuery = queryOptions({
  queryKey: ['sessions'],
  queryFn: ({ signal }) => call(`/api/sessions?limit=${PAGE_MAX}`, SessionList, { signal }),
  refetchInterval: LIST_POLL_MS,
});
export const providersQuery = queryOptions({
  queryKey: ['providers'],
  queryFn: ({ signal }) => call('/api/providers', ProviderList, { signal }),
  staleTime: 30_000,
});
export const buildsQuery = queryOptions({
  queryKey: ['builds'],
  queryFn: ({ signal }) => call('/api/builds', BuildList, { signal }),
  refetchInterval: 10_000,
});
export const runnersQuery = queryOptions({
  queryKey: ['runners'],
  queryFn: async ({ signal }) => ({ runners: await everyRunner((page) => call(page, RunnerList, { signal })) }),
  refetchInterval: RUNNERS_POLL_MS,
});
export const sessionQuery = (sessionId: string) =>
  queryOptions({
    queryKey: ['session', sessionId],
    queryFn: ({ signal }) => call(path(sessionId), SessionView, { signal }),
    refetchInterval: (query) =>
      query.state.data !== undefined && isFinal(query.state.data.state) ? false : SESSION_POLL_MS,
  });
export const diffQuery = (sessionId: string, live: boolean) =>
  queryOptions({
    queryKey: ['diff', sessionId],
    queryFn: ({ signal }) => call(path(sessionId, '/diff'), SessionDiff, { signal }),
    refetchInterval: live ? DIFF_POLL_MS : false,
    retry: false,
  });

export const fetchEvents = (sessionId: string, fromSeq: number, limit: number, signal?: AbortSignal) =>
  call(path(sessionId, `/events?fromSeq=${fromSeq}&limit=${limit}`), EventPage, signal === undefined ? {} : { signal });
export const fetchTranscript = (sessionId: string, from: StreamAddress, signal?: AbortSignal) =>
  call(
    path(sessionId, `/transcript?from=${from.epoch}:${from.offset}`),
    Transcript,
    signal === undefined ? {} : { signal },
  );

export const startSession = (body: StartSessionBody, idempotencyKey: string) =>
  call('/api/sessions', SessionStarted, {
    method: 'POST',
    body,
    headers: { [IDEMPOTENCY_HEADER]: idempotencyKey },
    deadlineMs: START_DEADLINE_MS,
  });
export const askSession = (sessionId: string, desired: 'stop' | 'pause' | 'resume', idempotencyKey: string) =>
  call(path(sessionId, `/${desired}`), Accepted, {
    method: 'POST',
    body: {},
    headers: { [IDEMPOTENCY_HEADER]: idempotencyKey },
  });

const runnerPath = (runnerId: string, rest = '') => `/api/runners/${encodeURIComponent(runnerId)}${rest}`;
export const registerRunner = (body: RegisterRunnerBody, idempotencyKey: string) =>
  call('/api/runners/registrations', RunnerRegistered, {
    method: 'POST',
    body,
    headers: { [IDEMPOTENCY_HEADER]: idempotencyKey },
  });
/** Takes no new session; what it holds goes on elsewhere. */
export const drainRunner = (runnerId: string) =>
  call(runnerPath(runnerId, '/drain'), RunnerAnswer, { method: 'POST', body: {} });
/** For good. */
export const revokeRunner = (runnerId: string) => call(runnerPath(runnerId), RunnerAnswer, { method: 'DELETE' });

/** For the socket: a ticket, or why there is none. Never throws. */
export const requestTicket = async () => {
  try {
    const { ticket } = await call('/api/tickets', Ticket, {
      method: 'POST',
      body: {},
      deadlineMs: TICKET_DEADLINE_MS,
    });
    return { kind: 'ticket', ticket } as const;
  } catch (error) {
    // Expected while the village restarts: the socket waits and tries again, visibly.
    if (isSignedOut(error)) return { kind: 'signed_out' } as const;
    return { kind: 'failed', message: error instanceof Error ? error.message : 'no ticket' } as const;
  }
};
