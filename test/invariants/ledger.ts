/** The ledger equals the events: one row for each tick and model call, one for each epoch that the control plane closed, and no other. */
import type { SessionEvent } from '../../shared/events.ts';
import { UsageCounters, type UsageRow } from '../../shared/usage.ts';
import type { LedgerRow, StoredSession } from './stored.ts';
import { findings, type Violation } from './violation.ts';

const COUNTERS = Object.keys(UsageCounters.shape) as (keyof UsageCounters)[];
/** Bounded by what the platform saw; the others are taken as the runner counted. */
const TIMES: ReadonlySet<string> = new Set(['agentMs', 'waitingMs', 'frozenMs']);

const kindOf = (event: SessionEvent): UsageRow['kind'] | null => {
  if (event.type === 'usage_tick') return event.final ? 'final' : 'tick';
  return event.type === 'model_usage' ? 'model' : null;
};

const nameOf = ({ epoch, rseq }: { epoch: number; rseq: number }, kind: string): string => `${epoch}/${rseq}/${kind}`;

const countersOf = (row: LedgerRow): UsageCounters =>
  UsageCounters.parse(Object.fromEntries(COUNTERS.map((name) => [name, row[name]])));

const isWithin = (row: LedgerRow, counters: UsageCounters): boolean =>
  COUNTERS.every((name) => (TIMES.has(name) ? row[name] <= counters[name] : row[name] === counters[name]));

const checkRows = (session: StoredSession): Violation[] => {
  const { violations, expect } = findings(session);
  const rows = new Map(session.ledger.filter((row) => !row.quarantined).map((row) => [nameOf(row, row.kind), row]));
  const named = new Set<string>();
  for (const event of session.events) {
    const kind = kindOf(event);
    if (kind === null || event.rseq === 0) continue;
    const name = nameOf(event, kind);
    const row = rows.get(name);
    named.add(name);
    expect(row !== undefined, 'ledger', `seq ${event.seq} (${event.type}) has no row ${name}`);
    if (row === undefined) continue;
    expect(row.seq === event.seq, 'ledger', `row ${name} names seq ${row.seq}, the event has ${event.seq}`);
    const isSame = event.type !== 'usage_tick' || isWithin(row, event.counters);
    expect(isSame, 'ledger', () => `row ${name} says ${JSON.stringify(countersOf(row))}, its event otherwise`);
  }
  const late = new Set(session.annex.flatMap(({ events }) => events.map(({ epoch, rseq }) => `${epoch}/${rseq}`)));
  for (const [name, { kind, source, epoch, rseq }] of rows) {
    const isLate = source === 'correction' && late.has(`${epoch}/${rseq}`);
    expect(named.has(name) || kind === 'close_out' || isLate, 'ledger', `row ${name} has no event`);
  }
  return violations;
};

const sumOf = (rows: readonly UsageCounters[]): UsageCounters =>
  UsageCounters.parse(
    Object.fromEntries(COUNTERS.map((name) => [name, rows.reduce((sum, row) => sum + row[name], 0)])),
  );

const ZERO = sumOf([]);
const same = (a: UsageCounters, b: UsageCounters): boolean => COUNTERS.every((name) => a[name] === b[name]);

/** The last proven counters of an epoch: those of its last tick. */
const lastOf = (rows: readonly LedgerRow[]): UsageCounters => {
  const ticks = rows.filter(({ kind }) => kind === 'tick' || kind === 'final');
  const last = ticks.toSorted((a, b) => a.rseq - b.rseq).at(-1);
  return last === undefined ? ZERO : countersOf(last);
};

const largest = (a: UsageCounters, b: UsageCounters): UsageCounters =>
  UsageCounters.parse(Object.fromEntries(COUNTERS.map((name) => [name, Math.max(a[name], b[name])])));

/** What the rows of an epoch come to: its last tick, raised by what came late. */
const billedOf = (rows: readonly LedgerRow[]): UsageCounters =>
  rows.filter(({ kind }) => kind === 'correction').reduce((sum, row) => largest(sum, countersOf(row)), lastOf(rows));

const checkClosings = (session: StoredSession): Violation[] => {
  const { violations, expect } = findings(session);
  for (const { epoch, closedAtMs } of session.epochs) {
    const rows = session.ledger.filter((row) => row.epoch === epoch && !row.quarantined);
    const closeOuts = rows.filter(({ kind }) => kind === 'close_out');
    const isLost = session.events.some((event) => event.epoch === epoch && event.type === 'runner_lost');
    const wanted = isLost && closedAtMs !== undefined ? 1 : 0;
    expect(
      closeOuts.length === wanted,
      'ledger',
      `epoch ${epoch} has ${closeOuts.length} close-out rows, not ${wanted}`,
    );
    const [closeOut] = closeOuts;
    if (closeOut === undefined) continue;
    const isProven = same(countersOf(closeOut), lastOf(rows));
    expect(isProven, 'ledger', () => `close-out of epoch ${epoch} says ${JSON.stringify(countersOf(closeOut))}`);
  }
  return violations;
};

const checkTotals = (session: StoredSession): Violation[] => {
  const { violations, expect } = findings(session);
  const { meta, ledger, epochs } = session;
  const billed = epochs.map(({ epoch }) => billedOf(ledger.filter((row) => row.epoch === epoch && !row.quarantined)));
  for (const [index, { epoch, usage }] of epochs.entries()) {
    const said = billed[index] ?? ZERO;
    const isSame = usage === undefined || same(usage, said);
    expect(
      isSame,
      'ledger',
      () => `epoch ${epoch} is billed ${JSON.stringify(usage)}, its rows say ${JSON.stringify(said)}`,
    );
  }
  const total = sumOf([meta.usage, meta.usageBefore]);
  const wanted = sumOf(billed);
  expect(
    same(total, wanted),
    'ledger',
    () => `META counts ${JSON.stringify(total)}, the ledger ${JSON.stringify(wanted)}`,
  );
  return violations;
};

export const checkLedger = (session: StoredSession): Violation[] => [
  ...checkRows(session),
  ...checkClosings(session),
  ...checkTotals(session),
];
