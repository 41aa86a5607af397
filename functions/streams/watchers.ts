/** Who watches a session and who leads it: viewer rows under the session's key, one controller by a conditional write, one revision. */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import type { WatcherList } from '../../shared/frames.ts';
import { VIEWER_EXPIRY_MS, VIEWERS_PER_SESSION_MAX } from '../../shared/limits.ts';
import { type ControlRequest, Device, type Presence } from '../../shared/session.ts';
import { type Condition, type Database, type Key, queryAll } from '../database.ts';
import { type SessionRef, sessionPk } from '../sessions/session-store.ts';
import type { AppendPorts } from './append-events.ts';
import { Control, controlKey, controlWrites, openRequest, readControl } from './control-row.ts';

const ViewerRow = z.object({
  viewerId: z.string(),
  connectionId: z.string(),
  userId: z.string(),
  mode: z.enum(['control', 'watch']),
  sinceMs: z.int(),
  lastSeenMs: z.int(),
  device: Device.default(''),
});
export type ViewerRow = z.infer<typeof ViewerRow>;
export type NewViewerRow = Omit<z.input<typeof ViewerRow>, 'lastSeenMs'>;
const viewerKey = (ref: SessionRef, viewerId: string): Key => ({ pk: sessionPk(ref), sk: `VIEWER#${viewerId}` });
const connectionKey = (tenantId: string, connectionId: string, ref: SessionRef, viewerId: string): Key => ({
  pk: `T#${tenantId}#C#${connectionId}`,
  sk: `VIEW#${ref.sessionId}#${viewerId}`,
});
const Attachment = z.looseObject({ sessionId: z.string(), viewerId: z.string() });

export interface Watchers {
  readonly viewers: readonly ViewerRow[];
  readonly control: Control;
}

/** What a viewer asked for when it attached may have changed since: who leads is in the control row alone. */
const modeOf = (viewerId: string, control: Control): 'control' | 'watch' =>
  viewerId === control.controllerId ? 'control' : 'watch';

export const watcherListOf = ({ viewers, control }: Watchers): WatcherList => ({
  rev: control.rev,
  viewers: viewers.map(({ viewerId }) => ({ viewerId, mode: modeOf(viewerId, control) })),
  controllerId: control.controllerId,
  controlTerm: control.controlTerm,
});

export interface PresenceList {
  readonly rev: number;
  readonly viewers: Presence[];
  readonly controllerId: string | null;
  readonly controlTerm: number;
  readonly request: ControlRequest | null;
}
export const presenceOf = (watchers: Watchers): PresenceList => {
  const { viewers, control } = watchers;
  return {
    rev: control.rev,
    viewers: viewers.map(({ viewerId, userId, sinceMs, device }) => ({
      viewerId,
      mode: modeOf(viewerId, control),
      userId,
      sinceMs,
      device,
    })),
    controllerId: control.controllerId,
    controlTerm: control.controlTerm,
    request: openRequest(watchers),
  };
};

export interface ControlAnswer {
  readonly controlTerm: number;
  readonly toViewerId: string;
  readonly allow: boolean;
}

export interface WatcherStore {
  read(ref: SessionRef): Promise<Watchers>;
  /** Whether anybody has attached and not left: half of a read, and most sessions are watched by nobody. */
  isWatched(ref: SessionRef): Promise<boolean>;
  /**
   * @returns `null` when the session has its most viewers already
   * @throws AppError `conflict` when somebody else of the tenant watches under this viewerId
   */
  attach(ref: SessionRef, row: NewViewerRow, takeOver: boolean): Promise<Watchers | null>;
  /** Only for the connection that attached: a late disconnect never removes the viewer's newer one. */
  detach(ref: SessionRef, viewerId: string, connectionId: string): Promise<Watchers | null>;
  /** Some of a connection's views; none when it has none (any more). */
  attachments(tenantId: string, connectionId: string): Promise<{ ref: SessionRef; viewerId: string }[]>;
  touch(ref: SessionRef, viewerId: string, connectionId: string): Promise<void>;
  /** A watcher asks for the keyboard, or takes its question back. */
  ask(ref: SessionRef, viewerId: string, wanted: boolean): Promise<Watchers>;
  /** What the leader says to it; an answer that comes too late changes nothing. */
  answer(ref: SessionRef, viewerId: string, answer: ControlAnswer): Promise<Watchers>;
  nextApiInputSeq(ref: SessionRef): Promise<number>;
}

const ATTACHMENTS_PAGE = 64;
/** Rows read of one session, those of viewers that left without a word included; each attach clears these away. */
const ROWS_MAX = VIEWERS_PER_SESSION_MAX * 20;

const byArrival = (a: ViewerRow, b: ViewerRow): number =>
  a.sinceMs - b.sinceMs || (a.viewerId < b.viewerId ? -1 : Number(a.viewerId > b.viewerId));

const watcherReads = (db: Database, clock: Clock) => {
  const readRows = async (ref: SessionRef): Promise<ViewerRow[]> => {
    const items = await queryAll(
      db,
      { table: 'connections', partition: sessionPk(ref), sort: { beginsWith: 'VIEWER#' }, consistent: true },
      ROWS_MAX,
    );
    return items.map((item) => ViewerRow.parse(item));
  };
  const isAlive = (row: ViewerRow) => row.lastSeenMs > clock.nowMs() - VIEWER_EXPIRY_MS;
  /**
   * The revision first: a list may then be newer than its revision, never older, so that a viewer of that revision is surely in it.
   * Of more viewers than there may be, those who came first count.
   */
  const read = async (ref: SessionRef): Promise<Watchers & { readonly silent: readonly ViewerRow[] }> => {
    const control = await readControl(db, ref);
    const rows = await readRows(ref);
    return {
      control,
      viewers: rows.filter(isAlive).sort(byArrival).slice(0, VIEWERS_PER_SESSION_MAX),
      silent: rows.filter((row) => !isAlive(row)),
    };
  };
  const isWatched = async (ref: SessionRef): Promise<boolean> => {
    const sort = { beginsWith: 'VIEWER#' };
    const page = await db.query({ table: 'connections', partition: sessionPk(ref), sort, limit: 1, consistent: true });
    return page.items.length > 0;
  };
  return { read, isWatched };
};

/** What concerns a connection or the session's numbering, and not who watches. */
const connectionReads = (db: Database): Pick<WatcherStore, 'attachments' | 'nextApiInputSeq'> => ({
  attachments: async (tenantId, connectionId) => {
    const page = await db.query({
      table: 'connections',
      partition: `T#${tenantId}#C#${connectionId}`,
      sort: { beginsWith: 'VIEW#' },
      limit: ATTACHMENTS_PAGE,
      consistent: true,
    });
    return page.items
      .map((item) => Attachment.parse(item))
      .map(({ sessionId, viewerId }) => ({ ref: { tenantId, sessionId }, viewerId }));
  },
  nextApiInputSeq: async (ref) => {
    const written = await db.write({
      kind: 'update',
      table: 'connections',
      key: controlKey(ref),
      add: { apiInputSeq: 1 },
    });
    return Control.parse(written.item ?? {}).apiInputSeq;
  },
});

/** The two rows of one view: under the session for who sends to it, under the connection for its end. */
const viewRows = (db: Database, clock: Clock) => {
  const expiresAtSec = () => Math.ceil((clock.nowMs() + VIEWER_EXPIRY_MS) / 1_000);
  const removeConnectionRow = (ref: SessionRef, viewerId: string, connectionId: string) =>
    db.write({ kind: 'delete', table: 'connections', key: connectionKey(ref.tenantId, connectionId, ref, viewerId) });

  /** @returns whether the viewer's row was removed; the connection's goes in any case */
  const remove = async (
    ref: SessionRef,
    { viewerId, connectionId }: Pick<ViewerRow, 'viewerId' | 'connectionId'>,
    condition: Condition,
  ): Promise<boolean> => {
    const [removed] = await Promise.all([
      db.write({ kind: 'delete', table: 'connections', key: viewerKey(ref, viewerId), conditions: [condition] }),
      removeConnectionRow(ref, viewerId, connectionId),
    ]);
    return removed.ok;
  };

  /** @throws AppError `conflict` when the viewer is another user's */
  const put = async (ref: SessionRef, row: NewViewerRow): Promise<void> => {
    const { viewerId, connectionId } = row;
    /** First, for a viewer without it would outlive its connection. */
    await db.write({
      kind: 'put',
      table: 'connections',
      item: {
        ...connectionKey(ref.tenantId, connectionId, ref, viewerId),
        sessionId: ref.sessionId,
        viewerId,
        expiresAtSec: expiresAtSec() + 7_200,
      },
    });
    const written = await db.write({
      kind: 'put',
      table: 'connections',
      item: { ...viewerKey(ref, viewerId), ...row, lastSeenMs: clock.nowMs(), expiresAtSec: expiresAtSec() },
      conditions: [{ attr: 'userId', op: '=', value: row.userId, orAbsent: true }],
    });
    if (written.ok) return;
    await removeConnectionRow(ref, viewerId, connectionId);
    throw new AppError('conflict', 'Somebody else watches this session under that viewerId: choose another viewerId.');
  };

  const touch = async (ref: SessionRef, viewerId: string, connectionId: string): Promise<void> => {
    await db.write({
      kind: 'update',
      table: 'connections',
      key: viewerKey(ref, viewerId),
      set: { lastSeenMs: clock.nowMs(), expiresAtSec: expiresAtSec() },
      conditions: [{ attr: 'connectionId', op: '=', value: connectionId }],
    });
  };
  return { put, remove, touch };
};

/** @param ports with the log: a lead that changes hands is written to it */
export const watcherStore = (ports: AppendPorts): WatcherStore => {
  const { db, clock } = ports;
  const { read, isWatched } = watcherReads(db, clock);
  const { bump, claim, release, ask, answer } = controlWrites(ports);
  const { put, remove, touch } = viewRows(db, clock);

  return {
    read,
    isWatched,
    touch,
    attach: async (ref, row, takeOver) => {
      const { viewerId, connectionId, userId, device = '' } = row;
      const isHere = ({ viewers }: Watchers) => viewers.some((viewer) => viewer.viewerId === viewerId);
      const before = await read(ref);
      /** Unless it has pinged since. */
      await Promise.all(
        before.silent.map((gone) => remove(ref, gone, { attr: 'lastSeenMs', op: '=', value: gone.lastSeenMs })),
      );
      if (before.viewers.length >= VIEWERS_PER_SESSION_MAX && !isHere(before)) return null;
      await put(ref, row);
      if (!isHere(await read(ref))) {
        /** Others came at the same moment, and before. */
        await remove(ref, row, { attr: 'connectionId', op: '=', value: connectionId });
        return null;
      }
      if (row.mode === 'control') await claim(ref, { viewerId, userId, device }, before, takeOver);
      else await release(ref, viewerId, before);
      await bump(ref);
      return read(ref);
    },
    detach: async (ref, viewerId, connectionId) => {
      const held = { attr: 'connectionId', op: '=', value: connectionId } as const;
      if (!(await remove(ref, { viewerId, connectionId }, held))) return null;
      await bump(ref);
      return read(ref);
    },
    ask: async (ref, viewerId, wanted) => {
      await ask(ref, viewerId, await read(ref), wanted);
      return read(ref);
    },
    answer: async (ref, viewerId, said) => {
      await answer(ref, viewerId, await read(ref), said);
      return read(ref);
    },
    ...connectionReads(db),
  };
};
