/**
 * All about a session's items: CARD (what never changes, and the lists' index), HEAD (the stream head, what every batch is conditional on
 * and writes, so it is kept small, with the few numbers of META that move with every tick), META (what else pages show), EPOCH#n (one
 * life on one runner). Keys carry the tenant, so another tenant's id finds nothing.
 */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import { COMMIT_MEMORY_MAX } from '../../shared/limits.ts';
import {
  DesiredState,
  isFinal,
  Placement,
  SessionConfig,
  SessionState,
  type SessionView,
  StateReason,
} from '../../shared/session.ts';
import { addCounters, UsageCounters } from '../../shared/usage.ts';
import type { Database, Item, Key, Page, Put } from '../database.ts';
import { withWholeKeys } from './stored-keys.ts';

export interface SessionRef {
  readonly tenantId: string;
  readonly sessionId: string;
}

export const sessionPk = ({ tenantId, sessionId }: SessionRef): string => `T#${tenantId}#S#${sessionId}`;
const cardKey = (ref: SessionRef): Key => ({ pk: sessionPk(ref), sk: 'CARD' });
export const metaKey = (ref: SessionRef): Key => ({ pk: sessionPk(ref), sk: 'META' });
export const headKey = (ref: SessionRef): Key => ({ pk: sessionPk(ref), sk: 'HEAD' });
export const epochKey = (ref: SessionRef, epoch: number): Key => ({
  pk: sessionPk(ref),
  sk: `EPOCH#${String(epoch).padStart(6, '0')}`,
});
export const tenantKey = (tenantId: string): string => `T#${tenantId}`;

/** A META without them is not due any more. */
export const LIVE_INDEX_ATTRS = ['liveShard', 'nextCheckAtMs'] as const;

const count = z.int().min(0);

export const Checkpoint = z.object({
  key: z.string(),
  sizeBytes: z.int().min(1),
  sha256: z.string(),
  epoch: z.int().min(1),
  atMs: count,
});
export type Checkpoint = z.infer<typeof Checkpoint>;

const SessionCard = z.looseObject({
  config: SessionConfig,
  title: z.string(),
  createdBy: z.string(),
  createdAt: z.string(),
  /** META has another one where it was placed on a runner with a build of its own. */
  taskDefinition: z.string(),
});
const CARD_FIELDS = [...Object.keys(SessionCard.shape), 'tenantKey', 'createdKey'];

/** A session as use-cases know it: card and META together. */
export const SessionMeta = SessionCard.extend({
  updatedAt: z.string(),
  lastEventAt: z.string(),
  startedAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  state: SessionState,
  reason: StateReason.nullable(),
  desired: DesiredState,
  epoch: count,
  offset: count,
  seq: count,
  taskArn: z.string().nullable(),
  cliVersion: z.string(),
  /** Of the running epoch, as the runner counted them within what the platform had seen at that time. */
  usage: UsageCounters,
  diffKey: z.string().nullable(),
  /** What runs the current epoch. */
  placement: Placement.nullable().default(null),
  /** The newest stored state of the work; the next epoch goes on from it. */
  checkpoint: Checkpoint.nullable().default(null),
  /** Epochs in a row that were lost without progress. */
  strikes: count.default(0),
  /** Times in a row that it found no runner, or was given back before its CLI ran. */
  refusals: count.default(0),
  /** Its last epoch was closed and none is open, though the session is not over. */
  isSuspended: z.boolean().default(false),
  /** Suspended until a person resumes it; other suspended sessions go on by themselves. */
  isParked: z.boolean().default(false),
  queuePosition: z.int().min(1).nullable().default(null),
  /** Sum over closed epochs, corrections included; counters of the running one are added to it. */
  usageBefore: UsageCounters,
  /** Raised with every change of `usageBefore`, and what each is conditional on: corrections do not move `seq`. */
  usageRev: count.default(0),
  /** How long closed epochs had a runner. */
  ranMs: count.default(0),
  /** The checkpoint before the newest: it is kept too, older ones are deleted. */
  previousCheckpointKey: z.string().nullable().default(null),
  /** In the live index: which shard, and when it is looked at; for a suspended session also the earliest time to go on. */
  liveShard: z.string().optional(),
  nextCheckAtMs: count.optional(),
});
export type SessionMeta = z.infer<typeof SessionMeta>;

/** A batch the head remembers: first and last rseq, digest, seq of its first event. */
const RecentBatch = z.object({ f: count, l: count, d: z.string(), s: count });

export const StreamHead = z.looseObject({
  epoch: count,
  open: z.boolean(),
  ackedRseq: count,
  /** Last `seq` given. */
  seq: count,
  /** Terminal offset of the last committed event of this epoch. */
  offset: count,
  state: SessionState,
  desired: DesiredState,
  desiredRev: count,
  leaseUntilMs: count,
  /** Server time at which a runner first said hello in this epoch; billable time starts here. */
  assignedAtMs: count.nullable(),
  annexRseq: count,
  recent: z.array(RecentBatch),
  /** This epoch has stored work: a turn or a checkpoint. */
  progressed: z.boolean().default(false),
  /** Server time at which this epoch first said that its CLI runs. */
  runningAtMs: count.nullable().default(null),
  /** The last epoch that was given a runner, and on what: `task`, `warm/<runner>`, `group/<runner>`. */
  placedEpoch: count.default(0),
  placedOn: z.string().nullable().default(null),
  /** `seq` as META has it; absent where both are the same. Commits that META need not know leave it alone. */
  metaSeq: count.optional(),
  /** Of META, as the commits since `metaSeq` left it. */
  usage: UsageCounters.optional(),
  checkpoint: Checkpoint.nullish(),
  previousCheckpointKey: z.string().nullish(),
  lastEventMs: count.optional(),
  /** Epoch and day of the last tick. */
  tickedOn: z.string().optional(),
});
export type StreamHead = z.infer<typeof StreamHead>;

/** One life on one runner; with its closing come the last words of its stream, which late batches are held against. */
export const EpochItem = z.looseObject({
  epoch: count,
  openedAtMs: count,
  closedAtMs: count.optional(),
  assignedAtMs: count.nullable().optional(),
  /** Last of the stream, as the head knew them. */
  ackedRseq: count.optional(),
  seq: count.optional(),
  recent: z.array(RecentBatch).optional(),
  /** What is billed for it, corrections included. */
  usage: UsageCounters.optional(),
  /** Batches kept beside its log. */
  annexBatches: count.optional(),
});
export type EpochItem = z.infer<typeof EpochItem>;

export interface SessionRecord {
  readonly meta: SessionMeta;
  readonly head: StreamHead;
}

export interface SessionStore {
  /** @throws AppError `throttled`, as `record` does */
  meta(ref: SessionRef): Promise<SessionMeta | null>;
  /** As it was created: the cheapest read, of what never changes. */
  config(ref: SessionRef): Promise<SessionConfig | null>;
  head(ref: SessionRef): Promise<StreamHead | null>;
  epoch(ref: SessionRef, epoch: number): Promise<EpochItem | null>;
  /**
   * Both of one moment. The head says which META belongs to it, so equal numbers prove it without a transactional read, which would
   * cost double on every batch and conflict with the writers.
   * @throws AppError `throttled` when writers are faster each time
   */
  record(ref: SessionRef): Promise<SessionRecord | null>;
  /**
   * What a commit of this process left, others may have gone on since: good for nothing but to plan a commit whose conditions hold in
   * the table only while it is still true.
   */
  remembered(ref: SessionRef): SessionRecord | null;
  /** @param record `null` forgets it */
  remember(ref: SessionRef, record: SessionRecord | null): void;
  /** The current epoch, remembered for a moment: a frame for an older one is refused by the runner, never misdelivered. */
  epochOf(ref: SessionRef): Promise<number | null>;
  list(
    tenantId: string,
    page: { limit: number; cursor?: string },
  ): Promise<{ sessions: SessionMeta[]; cursor: string | null }>;
  /** Sessions whose next check is due, oldest first; the index is eventually consistent and keys only. */
  due(
    shard: string,
    nowMs: number,
    page: { limit: number; cursor?: string },
  ): Promise<{ refs: SessionRef[]; cursor: string | null }>;
}

const parse = <T>(schema: z.ZodType<T>, item: Item | null): T | null => (item === null ? null : schema.parse(item));

export const refOfKey = (item: Item): SessionRef | null => {
  const match = /^T#(?<tenantId>[^#]+)#S#(?<sessionId>[^#]+)$/.exec(String(item.pk));
  return match?.groups === undefined
    ? null
    : { tenantId: match.groups.tenantId ?? '', sessionId: match.groups.sessionId ?? '' };
};

/** The head as it is known, out of the item. */
export const headOf = (item: Item): StreamHead => StreamHead.parse(withWholeKeys(refOfKey(item), item));

/** Both items of a new session. */
export const sessionPuts = (ref: SessionRef, session: SessionMeta): Put[] => {
  const isOfCard = ([name]: [string, unknown]) => CARD_FIELDS.includes(name);
  const fields = Object.entries(session);
  const card = {
    ...Object.fromEntries(fields.filter(isOfCard)),
    tenantKey: tenantKey(ref.tenantId),
    createdKey: `${session.createdAt}#${ref.sessionId}`,
  };
  const meta = Object.fromEntries(fields.filter((field) => !isOfCard(field)));
  const conditions = [{ attr: 'pk', is: 'absent' }] as const;
  return [
    { kind: 'put', table: 'sessions', item: { ...cardKey(ref), ...card }, conditions },
    { kind: 'put', table: 'sessions', item: { ...metaKey(ref), ...meta }, conditions },
  ];
};

/** @param meta names the build itself where a customer-hosted runner has one of its own */
export const sessionOf = (card: Item, meta: Item): SessionMeta => {
  const { config, ...rest } = SessionCard.parse(card);
  const buildId = meta.buildId ?? config.buildId;
  return SessionMeta.parse({ ...rest, ...withWholeKeys(refOfKey(card), meta), config: { ...config, buildId } });
};

const runnerIn = (placement: Placement | null): string | null =>
  placement === null || placement.kind === 'task' ? null : placement.runnerId;
/** A claim writes both without moving `seq`: whoever closes the epoch must not see one without the other. */
const isSamePlacement = (meta: SessionMeta, head: StreamHead): boolean => {
  if (!head.open) return true;
  const [, runnerId = null] = head.placedEpoch === head.epoch ? (head.placedOn ?? '').split('/') : [];
  return runnerIn(meta.placement) === runnerId;
};

/** What the head keeps of META between two writes of it: every write of META takes it along. */
export const keptByHead = ({ usage, checkpoint, previousCheckpointKey }: SessionMeta) => ({
  ...{ usage, checkpoint, previousCheckpointKey },
});
/** META with what the head knows better. */
export const wholeMeta = (meta: SessionMeta, head: StreamHead): SessionMeta => {
  const { metaSeq = head.seq, seq, offset, usage, checkpoint, previousCheckpointKey, lastEventMs } = head;
  if (metaSeq === seq) return meta;
  const lastEventAt = lastEventMs === undefined ? meta.lastEventAt : new Date(lastEventMs).toISOString();
  return {
    ...meta,
    ...{ seq, offset, lastEventAt, updatedAt: lastEventAt },
    ...{ usage: usage ?? meta.usage, checkpoint: checkpoint ?? null },
    previousCheckpointKey: previousCheckpointKey ?? null,
  };
};

const sessionIdOf = (card: Item): string => SessionCard.parse(card).config.sessionId;

const EPOCH_MEMORY_MS = 2_000;
const EPOCH_MEMORY_MAX = 10_000;
/** Cards never change: they are read once in a function's life, and the oldest is forgotten first. */
const CARD_MEMORY_MAX = 10_000;
/** A commit takes longer than two reads: a reader that is overtaken this often has met something else. */
const RECORD_ROUNDS = 8;

export const sessionStore = (db: Database, clock: Clock): SessionStore => {
  const epochs = new Map<string, { epoch: number; untilMs: number }>();
  const cards = new Map<string, Item>();
  const commits = new Map<string, SessionRecord>();
  const card = async (ref: SessionRef): Promise<Item | null> => {
    const known = cards.get(sessionPk(ref));
    if (known !== undefined) return known;
    const item = await db.get('sessions', cardKey(ref));
    if (cards.size >= CARD_MEMORY_MAX) cards.delete(cards.keys().next().value ?? '');
    if (item !== null) cards.set(sessionPk(ref), item);
    return item;
  };
  const readMeta = async (ref: SessionRef): Promise<SessionMeta | null> => {
    const [cardItem, metaItem] = await Promise.all([card(ref), db.get('sessions', metaKey(ref))]);
    return cardItem === null || metaItem === null ? null : sessionOf(cardItem, metaItem);
  };
  const head = async (ref: SessionRef) => {
    const item = await db.get('sessions', headKey(ref));
    return item === null ? null : headOf(item);
  };
  const record = async (ref: SessionRef): Promise<SessionRecord | null> => {
    for (let round = 0; round < RECORD_ROUNDS; round += 1) {
      const [metaItem, headItem] = await Promise.all([readMeta(ref), head(ref)]);
      if (metaItem === null || headItem === null) return null;
      if (!isSamePlacement(metaItem, headItem)) continue;
      /** META as new as the head is whole, whatever `metaSeq` says: a version that does not know that number leaves it behind. */
      if (metaItem.seq === headItem.seq) return { meta: metaItem, head: { ...headItem, metaSeq: metaItem.seq } };
      if (metaItem.seq === headItem.metaSeq) return { meta: wholeMeta(metaItem, headItem), head: headItem };
    }
    throw new AppError('throttled', 'The session is being written all the time: try again in a few seconds.');
  };
  const meta = async (ref: SessionRef) => (await record(ref))?.meta ?? null;
  return {
    meta,
    head,
    record,
    config: async (ref) => {
      const item = await card(ref);
      return item === null ? null : SessionCard.parse(item).config;
    },
    epoch: async (ref, epoch) => parse(EpochItem, await db.get('sessions', epochKey(ref, epoch))),
    epochOf: async (ref) => {
      const known = epochs.get(sessionPk(ref));
      if (known !== undefined && known.untilMs > clock.monotonicMs()) return known.epoch;
      const epoch = (await head(ref))?.epoch ?? null;
      if (epochs.size >= EPOCH_MEMORY_MAX) epochs.delete(epochs.keys().next().value ?? '');
      if (epoch !== null) epochs.set(sessionPk(ref), { epoch, untilMs: clock.monotonicMs() + EPOCH_MEMORY_MS });
      return epoch;
    },
    remembered: (ref) => commits.get(sessionPk(ref)) ?? null,
    remember: (ref, record) => {
      commits.delete(sessionPk(ref));
      if (record === null) return;
      if (commits.size >= COMMIT_MEMORY_MAX) commits.delete(commits.keys().next().value ?? '');
      commits.set(sessionPk(ref), record);
    },
    list: async (tenantId, { limit, cursor }) => {
      const page: Page = await db.query({
        table: 'sessions',
        index: { name: 'by-tenant', partition: 'tenantKey', sort: 'createdKey' },
        partition: tenantKey(tenantId),
        limit,
        descending: true,
        ...(cursor === undefined ? {} : { cursor }),
      });
      const sessions = await Promise.all(page.items.map((item) => meta({ tenantId, sessionId: sessionIdOf(item) })));
      return { sessions: sessions.filter((session) => session !== null), cursor: page.cursor };
    },
    due: async (shard, nowMs, { limit, cursor }) => {
      const page = await db.query({
        table: 'sessions',
        index: { name: 'live', partition: 'liveShard', sort: 'nextCheckAtMs' },
        partition: shard,
        sort: { to: nowMs },
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      return { refs: page.items.flatMap((item) => refOfKey(item) ?? []), cursor: page.cursor };
    },
  };
};

/** The ECS task that runs the current epoch; customer-hosted runners have none. */
export const taskArnOf = ({ placement, taskArn }: Pick<SessionMeta, 'placement' | 'taskArn'>): string | null => {
  if (placement === null) return taskArn;
  return placement.kind === 'group' ? null : placement.taskArn;
};

/** Nothing raises its next epoch but a person who resumes it. */
export const isParked = (meta: Pick<SessionMeta, 'isSuspended' | 'isParked' | 'desired'>): boolean =>
  meta.isSuspended && (meta.isParked || meta.desired === 'pause');

/** What the API shows of a session. */
export const viewOf = (meta: SessionMeta): SessionView => {
  const usage = addCounters(meta.usageBefore, meta.usage);
  return {
    sessionId: meta.config.sessionId,
    agentId: meta.config.agentId,
    state: meta.state,
    reason: meta.reason,
    desired: meta.desired,
    provider: meta.config.provider,
    model: meta.config.model,
    buildId: meta.config.buildId,
    repository: meta.config.repository,
    title: meta.title,
    epoch: meta.epoch,
    head: { epoch: meta.epoch, offset: meta.offset, seq: meta.seq },
    createdBy: meta.createdBy,
    createdAt: meta.createdAt,
    updatedAt: meta.updatedAt,
    lastEventAt: meta.lastEventAt,
    startedAt: meta.startedAt,
    endedAt: meta.endedAt,
    taskArn: meta.taskArn,
    pool: meta.config.pool,
    placement: meta.placement,
    queuePosition: meta.queuePosition,
    parked: meta.isSuspended && !isFinal(meta.state),
    usage: {
      agentMs: usage.agentMs,
      waitingMs: usage.waitingMs,
      terminalBytes: usage.terminalBytes,
      filesTouched: usage.filesTouched,
      commands: usage.commands,
    },
  };
};
