/** What the control plane has stored, out of the plain items of its tables: the simulation and the tests with real faults read it alike. */
import { z } from 'zod';
import type { Item } from '../../functions/database.ts';
import { Queued } from '../../functions/runners/group-queue.ts';
import { Assignment, Host } from '../../functions/runners/host-store.ts';
import { IdleRunner, WarmRunner } from '../../functions/runners/warm-store.ts';
import {
  EpochItem,
  headOf,
  type SessionMeta,
  type SessionRef,
  type StreamHead,
  sessionOf,
  wholeMeta,
} from '../../functions/sessions/session-store.ts';
import { eventsOf, Segment } from '../../functions/streams/segments.ts';
import { EventEnvelope, type SessionEvent } from '../../shared/events.ts';
import { UsageRow } from '../../shared/usage.ts';

/** Every item of four tables, whoever read them. */
export interface TableItems {
  readonly sessions: readonly Item[];
  readonly events: readonly Item[];
  readonly usage: readonly Item[];
  readonly tenants: readonly Item[];
  /** Without them nothing is known of places on runners. */
  readonly runners?: readonly Item[];
}

const Aside = z.looseObject({ epoch: z.int(), firstRseq: z.int(), digest: z.string(), events: z.string() });
const AsideEvents = z.array(EventEnvelope);
export interface AsideBatch {
  readonly epoch: number;
  readonly firstRseq: number;
  readonly events: readonly EventEnvelope[];
}

const LedgerRow = z.looseObject({ sk: z.string(), ...UsageRow.shape });
export type LedgerRow = z.infer<typeof LedgerRow>;

export interface StoredSession {
  readonly ref: SessionRef;
  readonly meta: SessionMeta;
  readonly head: StreamHead;
  /** By number. */
  readonly epochs: readonly EpochItem[];
  /** In the order of their keys. */
  readonly segments: readonly Segment[];
  /** Events of all segments, in that order. */
  readonly events: readonly SessionEvent[];
  readonly annex: readonly AsideBatch[];
  readonly quarantine: readonly AsideBatch[];
  readonly ledger: readonly LedgerRow[];
}

export interface StoredSlots {
  readonly tenantId: string;
  /** Sessions that hold a slot. */
  readonly sessionIds: readonly string[];
  readonly live: number;
}

/** A customer-hosted runner, and what it holds. */
export interface StoredHost {
  readonly host: Host;
  readonly held: readonly Assignment[];
}

export interface StoredVillage {
  readonly sessions: readonly StoredSession[];
  readonly slots: readonly StoredSlots[];
  /** `null` where nobody read the table of the runners. */
  readonly runners: {
    readonly hosts: readonly StoredHost[];
    /** Held by runners that are forgotten. */
    readonly strays: readonly Assignment[];
    readonly warm: readonly WarmRunner[];
    /** Idle runners that a start can find. */
    readonly idle: readonly IdleRunner[];
  } | null;
  readonly queued: readonly (Queued & { readonly tenantId: string })[];
}

const text = (value: unknown): string => String(value);
const byKey = (a: Item, b: Item): number => (text(a.sk) < text(b.sk) ? -1 : 1);

const grouped = (items: readonly Item[]): Map<string, Item[]> => {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(text(item.pk), [...(groups.get(text(item.pk)) ?? []), item]);
  for (const group of groups.values()) group.sort(byKey);
  return groups;
};

const under = (items: readonly Item[], prefix: string): Item[] =>
  items.filter((item) => text(item.sk).startsWith(prefix));

const asideOf = (item: Item): AsideBatch => {
  const { epoch, firstRseq, events } = Aside.parse(item);
  return { epoch, firstRseq, events: AsideEvents.parse(JSON.parse(events)) };
};

const slotsOf = (items: readonly Item[]): StoredSlots[] =>
  [...grouped(items)].map(([pk, rows]) => ({
    tenantId: pk.slice('T#'.length),
    sessionIds: under(rows, 'SLOT#').map((row) => text(row.sk).slice('SLOT#'.length)),
    live: Number(rows.find((row) => row.sk === 'SLOTS')?.live ?? 0),
  }));

const runnersOf = (items: readonly Item[]): NonNullable<StoredVillage['runners']> => {
  const rows = (prefix: string) => under(items, prefix);
  const assigned = rows('ASSIGN#').map((item) => ({ pk: item.pk, ...Assignment.parse(item) }));
  /** A count without a runner is what is left of one that was forgotten. */
  const known = rows('HOST#').filter(({ group }) => group !== undefined);
  const hosts = known.map((item) => {
    const host = Host.parse(item);
    return { host, held: assigned.filter(({ pk, runnerId }) => pk === item.pk && runnerId === host.runnerId) };
  });
  const warmRows = rows('RUNNER#').filter(({ pk, runnerId }) => text(pk).startsWith('WARM#') && runnerId !== undefined);
  return {
    hosts,
    strays: assigned.filter((one) => !hosts.some(({ held }) => held.includes(one))),
    warm: warmRows.map((item) => WarmRunner.parse(item)),
    idle: rows('IDLE#').map((item) => IdleRunner.parse(item)),
  };
};

const queuedOf = (items: readonly Item[]): StoredVillage['queued'] =>
  items.flatMap((item) => {
    const tenantId = /^T#([^#]+)#QUEUE$/.exec(text(item.pk))?.[1];
    return tenantId === undefined ? [] : [{ ...Queued.parse(item), tenantId }];
  });

/** @throws ZodError where an item does not fit its schema, which is a finding of its own */
export const storedVillage = (tables: TableItems): StoredVillage => {
  const events = grouped(tables.events);
  const usage = grouped(tables.usage);
  const sessions = [...grouped(tables.sessions)].flatMap(([pk, rows]): StoredSession[] => {
    const match = /^T#([^#]+)#S#([^#]+)$/.exec(pk);
    const meta = rows.find((row) => row.sk === 'META');
    const card = rows.find((row) => row.sk === 'CARD');
    if (match === null || meta === undefined || card === undefined) return [];
    const head = headOf(rows.find((row) => row.sk === 'HEAD') ?? {});
    const log = events.get(pk) ?? [];
    const segments = under(log, 'SEG#').map((item) => Segment.parse(item));
    return [
      {
        ref: { tenantId: match[1] ?? '', sessionId: match[2] ?? '' },
        meta: wholeMeta(sessionOf(card, meta), head),
        head,
        epochs: under(rows, 'EPOCH#').map((item) => EpochItem.parse(item)),
        segments,
        events: segments.flatMap(eventsOf),
        annex: under(log, 'ANNEX#').map(asideOf),
        quarantine: under(log, 'QUARANTINE#').map(asideOf),
        ledger: (usage.get(pk) ?? []).map((item) => LedgerRow.parse(item)),
      },
    ];
  });
  const runners = tables.runners === undefined ? null : runnersOf(tables.runners);
  return { sessions, slots: slotsOf(tables.tenants), runners, queued: queuedOf(tables.sessions) };
};
