/** One run of the archive: sessions whose time has come, a bounded part of them; one that fails never keeps the others waiting. */
import { ARCHIVE_PAGE_MAX, ARCHIVE_RETRY_MS, ARCHIVE_RUN_MS, LIVE_INDEX_SHARDS } from '../../shared/limits.ts';
import type { SessionRef, SessionStore } from '../sessions/session-store.ts';
import { appendEvents } from './append-events.ts';
import { archiveKey, dueArchives } from './archive-rows.ts';
import { type ArchivePorts, ArchiveRefused, archiveSession } from './archive-session.ts';

export interface ArchiveRunPorts extends ArchivePorts {
  readonly sessions: SessionStore;
  readonly onError: (ref: SessionRef, error: unknown) => void;
}

/** The first failure in a row is told in the session's own log too; every one is counted and logged. */
const failed = async (ports: ArchiveRunPorts, ref: SessionRef, error: unknown): Promise<void> => {
  ports.onError(ref, error);
  const written = await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: archiveKey(ref),
    add: { failures: 1 },
  });
  if (written.item?.failures === 1 && error instanceof ArchiveRefused)
    await appendEvents(ports, ref, () => ({
      events: [
        {
          type: 'alert_raised',
          code: 'archive_refused',
          message: `The history is kept where it is: ${error.message}.`,
        },
      ],
    }));
  /** Last, as an event that is added makes the session due earlier. */
  await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: archiveKey(ref),
    set: { archiveAtMs: ports.clock.nowMs() + ARCHIVE_RETRY_MS },
    conditions: [{ attr: 'archiveShard', is: 'present' }],
  });
};

export const archiveFinished = async (
  ports: ArchiveRunPorts,
): Promise<{ checked: number; archived: number; failed: number }> => {
  const counts = { checked: 0, archived: 0, failed: 0 };
  const untilMs = ports.clock.monotonicMs() + ARCHIVE_RUN_MS;
  for (let shard = 0; shard < LIVE_INDEX_SHARDS; shard += 1) {
    for (const ref of await dueArchives(ports.db, shard, ports.clock.nowMs(), ARCHIVE_PAGE_MAX)) {
      if (ports.clock.monotonicMs() >= untilMs) return counts;
      counts.checked += 1;
      try {
        if ((await archiveSession(ports, ref)) === 'archived') counts.archived += 1;
      } catch (error) {
        counts.failed += 1;
        await failed(ports, ref, error).catch((later: unknown) => ports.onError(ref, later));
      }
    }
  }
  return counts;
};
