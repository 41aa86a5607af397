/** Events of the control plane: they take their seq from the same head, under the same condition, as the runner's batches do. */
import type { Clock } from '../../shared/clock.ts';
import { EVENT_VERSION, type EventDraft, type SessionEvent } from '../../shared/events.ts';
import { isFinal } from '../../shared/session.ts';
import type { Condition, Database, Item, Write } from '../database.ts';
import {
  headKey,
  keptByHead,
  metaKey,
  type SessionRecord,
  type SessionRef,
  type SessionStore,
} from '../sessions/session-store.ts';
import { withShortKeys } from '../sessions/stored-keys.ts';
import { archiveDue } from './archive-rows.ts';
import { segmentPut } from './segments.ts';

export interface AppendPorts {
  readonly db: Database;
  readonly sessions: SessionStore;
  readonly clock: Clock;
}

export interface Append {
  readonly events: readonly EventDraft[];
  readonly head?: Item;
  readonly meta?: Item;
  readonly removeMeta?: readonly string[];
  readonly metaConditions?: readonly Condition[];
  /** The epoch that this opens: its events are of it, from the beginning of its terminal. */
  readonly raisesEpoch?: number;
  /** Further writes of the same transaction. */
  readonly writes?: readonly Write[];
}

const ROUNDS = 12;

export const numberEvents = (
  ref: SessionRef,
  head: { epoch: number; seq: number; offset: number },
  drafts: readonly EventDraft[],
  nowMs: number,
): SessionEvent[] =>
  drafts.map((draft, index) => ({
    ...draft,
    v: EVENT_VERSION,
    sessionId: ref.sessionId,
    tenantId: ref.tenantId,
    epoch: head.epoch,
    rseq: 0,
    ts: nowMs,
    offset: head.offset,
    seq: head.seq + 1 + index,
  }));

/**
 * Reads, lets `plan` decide on what stands there, writes; again when another writer was faster.
 * @param plan returns what to append, or `null` when there is nothing to do (any more)
 * @returns the record that the last plan was made on; `null` when the session does not exist
 */
export const appendEvents = async (
  ports: AppendPorts,
  ref: SessionRef,
  plan: (record: SessionRecord, nowMs: number) => Append | null | Promise<Append | null>,
): Promise<{ record: SessionRecord; appended: readonly SessionEvent[] } | null> => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const record = await ports.sessions.record(ref);
    if (record === null) return null;
    const nowMs = ports.clock.nowMs();
    const append = await plan(record, nowMs);
    if (append === null) return { record, appended: [] };
    const { head, meta } = record;
    const epoch = append.raisesEpoch ?? head.epoch;
    const offset = append.raisesEpoch === undefined ? head.offset : 0;
    const events = numberEvents(ref, { epoch, offset, seq: head.seq }, append.events, nowMs);
    const seq = head.seq + events.length;
    const nowIso = new Date(nowMs).toISOString();
    const result = await ports.db.transact([
      {
        kind: 'update',
        table: 'sessions',
        key: headKey(ref),
        set: { seq, metaSeq: seq, ...append.head },
        conditions: [
          { attr: 'seq', op: '=', value: head.seq },
          { attr: 'epoch', op: '=', value: head.epoch },
          { attr: 'open', op: '=', value: head.open },
          { attr: 'desiredRev', op: '=', value: head.desiredRev },
          { attr: 'leaseUntilMs', op: '=', value: head.leaseUntilMs },
          { attr: 'assignedAtMs', op: '=', value: head.assignedAtMs },
        ],
      },
      {
        kind: 'update',
        table: 'sessions',
        key: metaKey(ref),
        set: {
          ...withShortKeys(ref, keptByHead(meta)),
          ...{ offset: meta.offset, seq, updatedAt: nowIso, lastEventAt: nowIso },
          ...append.meta,
        },
        ...(append.removeMeta === undefined ? {} : { remove: append.removeMeta }),
        ...(append.metaConditions === undefined ? {} : { conditions: append.metaConditions }),
      },
      ...(events.length === 0
        ? []
        : [
            segmentPut(ref, {
              epoch,
              firstRseq: 0,
              digest: 'control',
              events,
              firstSeq: head.seq + 1,
              committedAtMs: nowMs,
            }),
          ]),
      /** What is added to a session that is over follows the rest of its log. */
      ...(events.length > 0 && isFinal(head.state) ? [archiveDue(ref, nowMs)] : []),
      ...(append.writes ?? []),
    ]);
    if (result.ok) return { record, appended: events };
  }
  throw new Error(`events of ${ref.sessionId} lost ${ROUNDS} rounds against other writers`);
};
