/** Reads of a session: view, list, events, transcript, diff. Another tenant's session and one that never was are the same 404. */
import type { z } from 'zod';
import { AppError } from '../../shared/errors.ts';
import { type EventPage, SessionDiff, type SessionList, type Transcript } from '../../shared/http.ts';
import { UPLOAD_GRANT_TTL_MS } from '../../shared/limits.ts';
import { isFinal, type SessionState, type SessionView } from '../../shared/session.ts';
import type { Database } from '../database.ts';
import { withPositions } from '../runners/group-queue.ts';
import { listChunks } from '../streams/chunks.ts';
import { readHistory } from '../streams/read-history.ts';
import { readEvents } from '../streams/segments.ts';
import type { ObjectStore } from './ports.ts';
import { type SessionRecord, type SessionRef, type SessionStore, viewOf } from './session-store.ts';

export interface ReadPorts {
  readonly db: Database;
  readonly sessions: SessionStore;
  readonly objects: ObjectStore;
}

const found = async (ports: ReadPorts, ref: SessionRef): Promise<SessionRecord> => {
  const record = await ports.sessions.record(ref);
  if (record === null) throw new AppError('not_found', 'There is no such session.');
  return record;
};

export const getSession = async (ports: ReadPorts, ref: SessionRef): Promise<SessionView> => {
  const { meta } = await found(ports, ref);
  return (await withPositions(ports.db, ref.tenantId, [viewOf(meta)]))[0] ?? viewOf(meta);
};

export const listSessions = async (
  ports: ReadPorts,
  tenantId: string,
  query: { limit: number; cursor?: string | undefined; state?: SessionState | undefined },
): Promise<z.infer<typeof SessionList>> => {
  const page = await ports.sessions.list(tenantId, {
    limit: query.limit,
    ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
  });
  const sessions = page.sessions.map(viewOf).filter((view) => query.state === undefined || view.state === query.state);
  return { sessions: await withPositions(ports.db, tenantId, sessions), cursor: page.cursor };
};

export const getEvents = async (
  ports: ReadPorts,
  ref: SessionRef,
  query: { fromSeq: number; limit: number },
): Promise<z.infer<typeof EventPage>> => {
  const { head } = await found(ports, ref);
  const events = isFinal(head.state)
    ? await readHistory(ports, ref, query.fromSeq, query.limit)
    : await readEvents(ports.db, ref, query.fromSeq, query.limit);
  return { events, nextSeq: (events.at(-1)?.seq ?? Math.max(query.fromSeq - 1, head.seq)) + 1, headSeq: head.seq };
};

/** The last stored diff; before the first one an empty diff, which is true of a fresh clone. */
export const getDiff = async (ports: ReadPorts, ref: SessionRef): Promise<SessionDiff> => {
  const { meta } = await found(ports, ref);
  const empty: SessionDiff = {
    files: [],
    linesAdded: 0,
    linesRemoved: 0,
    patch: '',
    truncated: false,
    headCommit: '',
    branch: null,
  };
  if (meta.diffKey === null) return empty;
  const stored = await ports.objects.getJson(meta.diffKey);
  if (stored === null)
    throw new AppError('unavailable', 'The stored diff cannot be read right now: try again in a few seconds.');
  return SessionDiff.parse(stored);
};

export const getTranscript = async (
  ports: ReadPorts,
  ref: SessionRef,
  from: { epoch: number; offset: number },
  limit: number,
): Promise<z.infer<typeof Transcript>> => {
  const { meta, head } = await found(ports, ref);
  const { chunks, more } = await listChunks(ports.db, ref, from, limit);
  return {
    chunks: await Promise.all(
      chunks.map(async ({ epoch, number, firstOffset, endOffset, sizeBytes, sha256, key }) => ({
        epoch,
        number,
        firstOffset,
        endOffset,
        sizeBytes,
        sha256,
        url: await ports.objects.presignGet(key, UPLOAD_GRANT_TTL_MS),
      })),
    ),
    more,
    head: viewOf(meta).head,
    live: !isFinal(head.state),
  };
};
