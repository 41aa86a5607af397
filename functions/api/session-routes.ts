/** Routes about sessions: start, read, lead. */
import {
  DesiredBody,
  InputBody,
  ListEventsQuery,
  ListSessionsQuery,
  StartSessionBody,
  TranscriptQuery,
} from '../../shared/http.ts';
import type { DesiredState } from '../../shared/session.ts';
import { type HttpRoute, route } from '../middleware/http.ts';
import { idempotencyKeyOf } from '../middleware/idempotency.ts';
import { countMetric } from '../middleware/observe.ts';
import { sessionRefOf, userOf } from '../middleware/users.ts';
import { getRecording, type RecordingPorts } from '../sessions/read-recording.ts';
import {
  getDiff,
  getEvents,
  getSession,
  getTranscript,
  listSessions,
  type ReadPorts,
} from '../sessions/read-session.ts';
import { type InputPorts, sendInput } from '../sessions/send-input.ts';
import { viewOf } from '../sessions/session-store.ts';
import { type DesiredPorts, setDesired } from '../sessions/set-desired.ts';
import { type StartPorts, startSession } from '../sessions/start-session.ts';

export interface SessionRoutePorts extends ReadPorts, RecordingPorts, StartPorts, DesiredPorts {
  readonly sessions: StartPorts['sessions'];
}

const desiredRoute = (ports: SessionRoutePorts, desired: DesiredState): HttpRoute =>
  route({
    body: DesiredBody,
    run: async ({ authorizer, params }) => {
      const meta = await setDesired(ports, sessionRefOf(authorizer, params.id), desired, userOf(authorizer).userId);
      return { status: 202, body: { accepted: true, session: viewOf(meta) } };
    },
  });

export const inputRoute = (ports: InputPorts): HttpRoute =>
  route({
    body: InputBody,
    run: async ({ body, authorizer, params }) => {
      const meta = await sendInput(ports, sessionRefOf(authorizer, params.id), body);
      return { status: 202, body: { accepted: true, session: viewOf(meta) } };
    },
  });

export const sessionRoutes = (ports: SessionRoutePorts): Record<string, HttpRoute> => ({
  'POST /api/sessions': route({
    body: StartSessionBody,
    run: async ({ body, authorizer, headers }) => {
      const { tenantId, userId } = userOf(authorizer);
      const meta = await startSession(ports, { tenantId, userId, idempotencyKey: idempotencyKeyOf(headers) }, body);
      countMetric('sessionsStarted');
      return { status: 201, body: { sessionId: meta.config.sessionId, session: viewOf(meta) } };
    },
  }),
  'GET /api/sessions': route({
    query: ListSessionsQuery,
    run: async ({ query, authorizer }) => ({ body: await listSessions(ports, userOf(authorizer).tenantId, query) }),
  }),
  'GET /api/sessions/{id}': route({
    run: async ({ authorizer, params }) => ({ body: await getSession(ports, sessionRefOf(authorizer, params.id)) }),
  }),
  'GET /api/sessions/{id}/events': route({
    query: ListEventsQuery,
    run: async ({ authorizer, params, query }) => ({
      body: await getEvents(ports, sessionRefOf(authorizer, params.id), query),
    }),
  }),
  'GET /api/sessions/{id}/diff': route({
    run: async ({ authorizer, params }) => ({ body: await getDiff(ports, sessionRefOf(authorizer, params.id)) }),
  }),
  'GET /api/sessions/{id}/transcript': route({
    query: TranscriptQuery,
    run: async ({ authorizer, params, query }) => {
      const [epoch = 1, offset = 0] = query.from.split(':').map(Number);
      const ref = sessionRefOf(authorizer, params.id);
      if (query.format === 'asciicast') {
        const recording = await getRecording(ports, ref, { epoch, offset });
        return { status: 302, body: recording, location: recording.url };
      }
      return { body: await getTranscript(ports, ref, { epoch, offset }, query.limit) };
    },
  }),
  'POST /api/sessions/{id}/stop': desiredRoute(ports, 'stop'),
  'POST /api/sessions/{id}/pause': desiredRoute(ports, 'pause'),
  'POST /api/sessions/{id}/resume': desiredRoute(ports, 'run'),
});
