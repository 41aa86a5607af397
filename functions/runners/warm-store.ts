/**
 * The warm pool: tasks that were started before anybody asked, one row each, and beside it a row under the build as long as the runner is
 * connected and idle. A claim deletes that second row by a conditional write, so that of any number of starts one gets the runner; both
 * are spread over shards. An idle runner belongs to no tenant.
 */
import { z } from 'zod';
import { BuildId, Epoch, RunnerId, SessionId, TenantId } from '../../shared/ids.ts';
import { WARM_POOL_MAX, WARM_SHARDS } from '../../shared/limits.ts';
import type { RunnerScope } from '../../shared/runner-credential.ts';
import { type Database, type Item, type Key, queryAll, type Write } from '../database.ts';
import { credentialKey } from './runner-credentials.ts';

const ms = z.int().min(0);
export const WarmRunner = z.looseObject({
  runnerId: RunnerId,
  buildId: BuildId,
  taskDefinition: z.string(),
  /** `null` until ECS has answered. */
  taskArn: z.string().nullable(),
  /** `ending`: its session is over, or it was never to have one; the row stays until its task has stopped. */
  state: z.enum(['launching', 'idle', 'claimed', 'ending']),
  connectionId: z.string().nullable(),
  dial: z.int().min(0),
  /** Empty until it connected. */
  runnerVersion: z.string(),
  launchedAtMs: ms,
  lastSeenMs: ms,
  /** Since when the pool knows that it ends. */
  endingAtMs: ms.nullable(),
  /** Whose it is once claimed. */
  claimedFor: z.strictObject({ tenantId: TenantId, sessionId: SessionId, epoch: Epoch }).nullable(),
});
export type WarmRunner = z.infer<typeof WarmRunner>;

/** A row whose task's end nobody told is forgotten by the table itself. */
const ROW_TTL_MS = 3 * 24 * 60 * 60_000;
export const warmExpiresAtSec = (nowMs: number): number => Math.ceil((nowMs + ROW_TTL_MS) / 1_000);

/** Its states are few and each is taken once: whoever loses this often has met something else. */
const ROUNDS = 6;

/** What a claim needs, without another read. */
export const IdleRunner = z.looseObject({
  runnerId: RunnerId,
  taskArn: z.string(),
  connectionId: z.string(),
  dial: z.int().min(0),
  runnerVersion: z.string(),
});
export type IdleRunner = z.infer<typeof IdleRunner>;

const RUNNER_ID = /^warm-(\d+)-[0-9A-Z]{26}$/;

/** The shard is part of the id: whoever has the id finds the row. */
export const warmRunnerId = (ulid: string, shard: number): string => `warm-${shard % WARM_SHARDS}-${ulid}`;
const shardOf = (runnerId: string): string => RUNNER_ID.exec(runnerId)?.[1] ?? '0';

export const warmKey = (runnerId: string): Key => ({ pk: `WARM#${shardOf(runnerId)}`, sk: `RUNNER#${runnerId}` });
const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** When its row was made, which is before its task is asked for: the first ten characters of the ULID in its id. */
export const warmBornAtMs = (runnerId: string): number =>
  [...runnerId.slice(-26, -16)].reduce((ms, digit) => ms * 32 + Math.max(0, CROCKFORD.indexOf(digit)), 0);
const idlePk = (buildId: string, shard: string): string => `IDLE#${shard}#${buildId}`;
export const idleKey = ({ buildId, runnerId }: Pick<WarmRunner, 'buildId' | 'runnerId'>): Key => ({
  pk: idlePk(buildId, shardOf(runnerId)),
  sk: `IDLE#${runnerId}`,
});

/** `startedBy` of a task of the pool, in the characters that ECS allows there. */
export const formatWarmOwner = (runnerId: string): string => `warm/${runnerId}`;
/** @returns `null` for a task that was started for a session, or by somebody else */
export const parseWarmOwner = (startedBy: string | undefined): string | null => {
  const runnerId = /^warm\/(.+)$/.exec(startedBy ?? '')?.[1];
  return runnerId !== undefined && RUNNER_ID.test(runnerId) ? runnerId : null;
};

/** An epoch closed after its runner was forgotten leaves a mark without a runner. */
const warmOf = (item: Item | null): WarmRunner | null =>
  item === null || item.runnerId === undefined ? null : WarmRunner.parse(item);

export const readWarm = async (db: Database, runnerId: string): Promise<WarmRunner | null> =>
  warmOf(await db.get('runners', warmKey(runnerId)));

const SHARDS = Array.from({ length: WARM_SHARDS }, (_, shard) => String(shard));
/** Every build's pool, and what is on its way out of it. */
const LISTED_MAX = 20 * WARM_POOL_MAX;

export const listWarm = async (db: Database): Promise<WarmRunner[]> => {
  const query = (shard: string) => ({ table: 'runners', partition: `WARM#${shard}` }) as const;
  const shards = await Promise.all(SHARDS.map((shard) => queryAll(db, query(shard), LISTED_MAX)));
  return shards.flat().flatMap((item) => warmOf(item) ?? []);
};

/** @param from the shard to begin with, so that parallel starts begin at different ones; the others are asked together */
export const firstIdle = async (db: Database, buildId: string, from: number): Promise<IdleRunner | null> => {
  const ask = async (shard: number): Promise<IdleRunner | null> => {
    const partition = idlePk(buildId, String(shard % WARM_SHARDS));
    const { items } = await db.query({ table: 'runners', partition, limit: 1 });
    return items[0] === undefined ? null : IdleRunner.parse(items[0]);
  };
  const own = await ask(from);
  if (own !== null) return own;
  const others = await Promise.all(SHARDS.slice(1).map((_, step) => ask(from + 1 + step)));
  return others.find((idle) => idle !== null) ?? null;
};

/** From here on a start may claim it, on this connection. */
export const becomesIdle = (
  runner: WarmRunner,
  seen: {
    readonly taskArn: string;
    readonly connectionId: string;
    readonly dial: number;
    readonly runnerVersion: string;
    readonly lastSeenMs: number;
  },
): Write[] => [
  {
    kind: 'update',
    table: 'runners',
    key: warmKey(runner.runnerId),
    set: { state: 'idle', ...seen },
    conditions: [
      { attr: 'state', op: '=', value: runner.state },
      { attr: 'dial', op: '=', value: runner.dial },
      { attr: 'connectionId', op: '=', value: runner.connectionId },
    ],
  },
  {
    kind: 'put',
    table: 'runners',
    item: {
      ...idleKey(runner),
      runnerId: runner.runnerId,
      taskArn: seen.taskArn,
      connectionId: seen.connectionId,
      dial: seen.dial,
      runnerVersion: seen.runnerVersion,
    },
  },
];

/** Its row, what made it claimable and its credential; in a transaction whose condition is on the row. */
export const warmForgotten = ({ runnerId, buildId, state }: WarmRunner): Write[] => [
  {
    kind: 'delete',
    table: 'runners',
    key: warmKey(runnerId),
    conditions: [{ attr: 'state', op: '=', value: state }],
  },
  { kind: 'delete', table: 'runners', key: idleKey({ runnerId, buildId }) },
  { kind: 'delete', table: 'runners', key: credentialKey({ kind: 'warm', runnerId }) },
];

/** With the closing of the epoch that it ran: it takes no other one, and has from now on to leave. */
export const warmReleased = (runnerId: string, nowMs: number): Write => ({
  kind: 'update',
  table: 'runners',
  key: warmKey(runnerId),
  set: { state: 'ending', claimedFor: null, endingAtMs: nowMs },
  /** Of one that was forgotten this is all that is left. */
  setIfAbsent: { expiresAtSec: warmExpiresAtSec(nowMs) },
});

/**
 * A task of the pool has stopped: claimed, its end is that of the epoch it runs; otherwise it is forgotten.
 * @returns whose epoch ended with it
 */
export const warmTaskStopped = async (db: Database, startedBy: string | undefined): Promise<RunnerScope | null> => {
  const runnerId = parseWarmOwner(startedBy);
  if (runnerId === null) return null;
  for (let round = 0; round < ROUNDS; round += 1) {
    const runner = await readWarm(db, runnerId);
    if (runner === null) return null;
    if (runner.state === 'claimed') return runner.claimedFor;
    if ((await db.transact(warmForgotten(runner))).ok) return null;
  }
  throw new Error(`${runnerId} changed ${ROUNDS} times while it was forgotten`);
};
