/** Bugs to plant, each a wrapper around a port: the simulation must find every one of them. */
import type { Database, Write } from '../../functions/database.ts';
import { AppError } from '../../shared/errors.ts';
import type { ControlToRunnerFrame, RunnerFrame } from '../../shared/frames.ts';
import type { Rule } from '../invariants/violation.ts';
import type { Plant } from './plant.ts';

interface PlantedBug {
  readonly plant: () => Plant;
  /** A rule that it must break. */
  readonly breaks: readonly Rule[];
}

const rewriting = (db: Database, rewrite: (write: Write) => Write): Database => ({
  get: (table, key) => db.get(table, key),
  query: (query) => db.query(query),
  write: (write) => db.write(rewrite(write)),
  transact: (writes) => db.transact(writes.map((write) => (write.kind === 'check' ? write : rewrite(write)))),
});

const isHead = (write: Write): boolean =>
  write.kind === 'update' && write.table === 'sessions' && write.key.sk === 'HEAD';
const isSlot = (write: Write): boolean =>
  write.kind === 'delete' && write.table === 'tenants' && write.key.sk.startsWith('SLOT#');

const isSegment = (write: Write): boolean => write.kind === 'put' && write.item.sk.startsWith('SEG#');

const ackOf = (frame: Extract<RunnerFrame, { type: 'runner_events' }>, ackedRseq: number): ControlToRunnerFrame => {
  const { sessionId, epoch, firstRseq } = frame;
  return { type: 'ack', sessionId, epoch, firstRseq, ackedRseq, headSeq: 0, grants: [] };
};

const parsed = (text: string): ControlToRunnerFrame => JSON.parse(text);
const JOURNAL = '/journal';

/** Ingest tells the runner that it has what the store refused in its weather. */
const ackUnderThrottle: Plant = {
  handleRunner: (handle) => async (ports, who, frame) => {
    try {
      return await handle(ports, who, frame);
    } catch (error) {
      if (frame.type !== 'runner_events' || !(error instanceof AppError) || error.code !== 'throttled') throw error;
      return ackOf(frame, frame.firstRseq + frame.events.length - 1);
    }
  },
};

/** A batch's transaction asks for nothing: neither for its place in the stream, nor for the place of its segment. */
const missingCondition: Plant = {
  database: (db) =>
    rewriting(db, (write) => (isHead(write) || isSegment(write) ? { ...write, conditions: [] } : write)),
};

/** A reconnected runner hears the log's highest seq in place of its own rseq. */
const ackOfHighestSeq: Plant = {
  handleRunner: (handle) => async (ports, who, frame) => {
    const reply = await handle(ports, who, frame);
    if (reply?.type !== 'welcome') return reply;
    const sessions = await Promise.all(
      reply.sessions.map(async (entry) => {
        const head = await ports.sessions.head({ tenantId: 'acme', sessionId: entry.sessionId });
        return { ...entry, ackedRseq: head?.seq ?? entry.ackedRseq };
      }),
    );
    return { ...reply, sessions };
  },
};

/** A restarted process does not read what the one before it wrote. */
const forgottenJournal: Plant = {
  disk: (disk) => ({ ...disk, read: (path) => (path.endsWith(JOURNAL) ? undefined : disk.read(path)) }),
};

/** The CLI goes on when the lease is lost. */
const leaseIgnored: Plant = {
  freezable: (target) => ({ ...target, freeze: async () => {} }),
};

/** The counter goes down apart from the transaction, each time a closing is tried. */
const slotReleasedTwice: Plant = {
  database: (db) => ({
    ...rewriting(db, (write) => write),
    transact: async (writes) => {
      const slot = writes.find((write) => write.kind !== 'check' && isSlot(write));
      const key = slot?.kind === 'delete' ? { pk: slot.key.pk, sk: 'SLOTS' } : null;
      if (key === null) return db.transact(writes);
      await db.write({ kind: 'update', table: 'tenants', key, add: { live: -1 } });
      return db.transact(writes.filter((write) => write.kind !== 'update' || write.key.sk !== 'SLOTS'));
    },
  }),
};

/** Rows of the ledger lie under their epoch alone. */
const tickWithoutKey: Plant = {
  database: (db) =>
    rewriting(db, (write) => {
      if (write.kind !== 'put' || write.table !== 'usage') return write;
      const sk = write.item.sk.replace(/#\d{9}#/, '#');
      return { ...write, item: { ...write.item, sk }, conditions: [] };
    }),
};

/** The next epoch begins where the terminal of the last one ended. */
const offsetCarriedOver: Plant = {
  database: (db) =>
    rewriting(db, (write) => {
      const raises = write.kind === 'update' && isHead(write) && write.set?.ackedRseq === 0 && write.set.offset === 0;
      if (!raises) return write;
      const { offset: _offset, ...set } = write.set ?? {};
      return { ...write, set };
    }),
};

/** An ack for an earlier batch counts for the one in flight. */
const delayedAckOfOldBatch: Plant = {
  line: () => {
    let flying: { firstRseq: number; lastRseq: number } | null = null;
    return {
      fromRunner: (text) => {
        const frame: RunnerFrame = JSON.parse(text);
        if (frame.type !== 'runner_events' || frame.events.length === 0) return;
        flying = { firstRseq: frame.firstRseq, lastRseq: frame.firstRseq + frame.events.length - 1 };
      },
      toRunner: (text) => {
        const frame = parsed(text);
        if (frame.type !== 'ack' || flying === null || frame.firstRseq >= flying.firstRseq) return text;
        return JSON.stringify({ ...frame, firstRseq: flying.firstRseq, ackedRseq: flying.lastRseq });
      },
    };
  },
};

/** The runner takes whichever list of viewers comes last for the newest. */
const viewersWithoutRevision: Plant = {
  line: () => {
    let rev = 0;
    return {
      fromRunner: () => {},
      toRunner: (text) => {
        const frame = parsed(text);
        rev += 1;
        return frame.type === 'viewers' ? JSON.stringify({ ...frame, rev: 1_000_000 + rev }) : text;
      },
    };
  },
};

const isPlaceTaken = (write: Write): boolean => write.kind === 'update' && write.add?.live === 1;
const isPlaceGivenBack = (write: Write): boolean =>
  write.kind === 'update' && write.table === 'runners' && write.add?.live === -1;
const isIdleTaken = (write: Write): boolean =>
  write.table === 'runners' &&
  ((write.kind === 'delete' && write.key.pk.startsWith('IDLE#')) ||
    (write.kind === 'update' && write.set?.state === 'claimed'));

/** Whoever read that a place was free takes it. */
const claimWithoutCondition: Plant = {
  database: (db) =>
    rewriting(db, (write) => (write.table === 'runners' && isPlaceTaken(write) ? { ...write, conditions: [] } : write)),
};

/** A place is given back apart from the transaction, each time a closing is tried. */
const placeGivenBackTwice: Plant = {
  database: (db) => ({
    ...rewriting(db, (write) => write),
    transact: async (writes) => {
      const back = writes.find((write) => write.kind !== 'check' && isPlaceGivenBack(write));
      if (back?.kind !== 'update') return db.transact(writes);
      await db.write({ kind: 'update', table: 'runners', key: back.key, add: { live: -1 } });
      return db.transact(writes.filter((write) => write !== back));
    },
  }),
};

/** Of several starts that found the same idle runner each takes it. */
const idleClaimedTwice: Plant = {
  database: (db) => rewriting(db, (write) => (isIdleTaken(write) ? { ...write, conditions: [] } : write)),
};

/** Whoever came last to the queue leaves it first. */
const queueBackwards: Plant = {
  database: (db) => ({
    ...rewriting(db, (write) => write),
    query: async (query) => {
      const page = await db.query(query);
      return query.partition.endsWith('#QUEUE') ? { ...page, items: page.items.toReversed() } : page;
    },
  }),
};

export const PLANTS = {
  ack_under_throttle: { plant: () => ackUnderThrottle, breaks: ['event_lost'] },
  missing_condition: { plant: () => missingCondition, breaks: ['log_numbers', 'event_twice', 'event_lost'] },
  ack_of_highest_seq: { plant: () => ackOfHighestSeq, breaks: ['event_lost'] },
  forgotten_journal: { plant: () => forgottenJournal, breaks: ['event_twice', 'event_lost', 'event_changed'] },
  lease_ignored: { plant: () => leaseIgnored, breaks: ['cli_without_lease'] },
  slot_released_twice: { plant: () => slotReleasedTwice, breaks: ['slots'] },
  tick_without_key: { plant: () => tickWithoutKey, breaks: ['ledger'] },
  offset_carried_over: { plant: () => offsetCarriedOver, breaks: ['terminal_address'] },
  delayed_ack_of_old_batch: { plant: () => delayedAckOfOldBatch, breaks: ['event_lost'] },
  claim_without_condition: { plant: () => claimWithoutCondition, breaks: ['places'] },
  place_given_back_twice: { plant: () => placeGivenBackTwice, breaks: ['places'] },
  idle_claimed_twice: { plant: () => idleClaimedTwice, breaks: ['warm_pool', 'places'] },
  queue_backwards: { plant: () => queueBackwards, breaks: ['queue'] },
  viewers_without_revision: { plant: () => viewersWithoutRevision, breaks: ['watchers'] },
} as const satisfies Record<string, PlantedBug>;
export type PlantName = keyof typeof PLANTS;
