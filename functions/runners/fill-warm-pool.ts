/**
 * Keeps the warm pool at its size: launches what a build lacks, recycles what is old, and looks after every task it ever launched until
 * ECS says that it has stopped. Runs by the clock and after each claim; several runs at once launch no more than one would.
 */

import { z } from 'zod';
import type { Clock, Random } from '../../shared/clock.ts';
import { RUNNER_TOKEN_TTL_MS, WARM_SHARDS } from '../../shared/limits.ts';
import { PROVIDERS, ProviderId } from '../../shared/providers.ts';
import type { Build } from '../../shared/releases.ts';
import type { Database, Key } from '../database.ts';
import type { BuildStore } from '../releases/build-store.ts';
import type { RunnerSender, TaskLauncher } from '../sessions/ports.ts';
import { decideWarm, missingOf, surplusOf } from './decide-warm.ts';
import { deriveRunnerToken, runnerCredentialPut } from './runner-credentials.ts';
import {
  becomesIdle,
  formatWarmOwner,
  idleKey,
  listWarm,
  WarmRunner,
  warmExpiresAtSec,
  warmForgotten,
  warmKey,
  warmRunnerId,
} from './warm-store.ts';

export interface WarmPoolPorts {
  readonly db: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: () => string;
  readonly builds: BuildStore;
  readonly tasks: TaskLauncher;
  readonly runnerSender: RunnerSender;
  readonly signingKey: () => Promise<Uint8Array>;
  readonly publicUrl: string;
  /** For each build that a start gets without naming one. */
  readonly warmPoolSize: number;
  readonly onError: (runnerId: string, error: unknown) => void;
}

export interface Filled {
  readonly launched: number;
  readonly drained: number;
  readonly stopped: number;
  readonly failed: number;
}

const Fence = z.looseObject({ rev: z.int() });

/** What a start without a build gets, for each provider that can be started. */
export const buildsToKeepWarm = (builds: readonly Build[]): Build[] => {
  const newest = ProviderId.options
    .filter((provider) => PROVIDERS[provider].available)
    .flatMap((provider) => builds.find(({ status, clis }) => status === 'ready' && clis[provider] !== undefined) ?? []);
  return [...new Set(newest)];
};

const fenceKey = (buildId: string): Key => ({ pk: `WARMFENCE#${buildId}`, sk: 'FENCE' });
/** Raised by every new row of the build: whoever counted before another run's row was written launches nothing. */
const fenceRev = async (db: Database, buildId: string): Promise<number> => {
  const item = await db.get('runners', fenceKey(buildId));
  return item === null ? 0 : Fence.parse(item).rev;
};

const newRow = (ports: WarmPoolPorts, build: Build): WarmRunner => ({
  runnerId: warmRunnerId(ports.newId(), Math.floor(ports.random.next() * WARM_SHARDS)),
  buildId: build.buildId,
  taskDefinition: build.taskDefinitionArn,
  taskArn: null,
  state: 'launching',
  connectionId: null,
  dial: 0,
  runnerVersion: '',
  launchedAtMs: ports.clock.nowMs(),
  lastSeenMs: ports.clock.nowMs(),
  endingAtMs: null,
  claimedFor: null,
});

/** Asks for the task; a repeat is the same task. Its name is written down, and a runner that was faster than ECS's answer becomes idle. */
const launch = async (ports: WarmPoolPorts, runner: WarmRunner): Promise<void> => {
  const { runnerId, taskDefinition } = runner;
  const result = await ports.tasks.launch({
    clientToken: runnerId,
    startedBy: formatWarmOwner(runnerId),
    taskDefinition,
    environment: {
      CONTROL_PLANE_URL: ports.publicUrl,
      CONTROL_PLANE_TOKEN: deriveRunnerToken(await ports.signingKey(), { kind: 'warm', runnerId }),
    },
  });
  if (result.kind === 'refused') {
    await ports.db.transact(warmForgotten(runner));
    throw new Error(`no idle task could be started: ${result.reason}`);
  }
  const { taskArn } = result;
  const written = await ports.db.write({
    kind: 'update',
    table: 'runners',
    key: warmKey(runnerId),
    set: { taskArn },
    conditions: [{ attr: 'state', op: '=', value: 'launching' }],
  });
  if (!written.ok || written.item === null) return;
  const stands = WarmRunner.parse(written.item);
  const { connectionId, dial, runnerVersion, lastSeenMs } = stands;
  if (connectionId !== null)
    await ports.db.transact(becomesIdle(stands, { taskArn, connectionId, dial, runnerVersion, lastSeenMs }));
};

/** @returns whether this run launched it; another run that counts at the same time was faster otherwise */
const launchNew = async (ports: WarmPoolPorts, build: Build, rev: number): Promise<boolean> => {
  const runner = newRow(ports, build);
  const nowMs = ports.clock.nowMs();
  const { runnerId, buildId } = runner;
  const token = deriveRunnerToken(await ports.signingKey(), { kind: 'warm', runnerId });
  const written = await ports.db.transact([
    {
      kind: 'put',
      table: 'runners',
      item: { ...warmKey(runnerId), ...runner, expiresAtSec: warmExpiresAtSec(nowMs) },
      conditions: [{ attr: 'pk', is: 'absent' }],
    },
    runnerCredentialPut({ kind: 'warm', runnerId }, token, nowMs, RUNNER_TOKEN_TTL_MS),
    {
      kind: 'update',
      table: 'runners',
      key: fenceKey(buildId),
      set: { rev: rev + 1 },
      conditions: [{ attr: 'rev', op: '=', value: rev, orAbsent: rev === 0 }],
    },
  ]);
  if (written.ok) await launch(ports, runner);
  return written.ok;
};

/** @returns whether this call took it from the starts */
const drain = async (ports: WarmPoolPorts, runner: WarmRunner): Promise<boolean> => {
  const { runnerId, connectionId } = runner;
  const drained = await ports.db.transact([
    {
      kind: 'update',
      table: 'runners',
      key: warmKey(runnerId),
      set: { state: 'ending', endingAtMs: ports.clock.nowMs() },
      conditions: [{ attr: 'state', op: '=', value: runner.state }],
    },
    { kind: 'delete', table: 'runners', key: idleKey(runner) },
  ]);
  if (drained.ok && connectionId !== null)
    await ports.runnerSender.post(connectionId, { type: 'runner_desired', desired: 'drain' });
  return drained.ok;
};

/** The row goes once nothing can come of it any more; what ECS says later finds none. */
const stop = async (ports: WarmPoolPorts, runner: WarmRunner): Promise<void> => {
  if (runner.taskArn !== null)
    await ports.tasks.stop(runner.taskArn, 'The warm pool does not need this task any more.');
  await ports.db.transact(warmForgotten(runner));
};

const noteEnding = (ports: WarmPoolPorts, runner: WarmRunner) =>
  ports.db.write({
    kind: 'update',
    table: 'runners',
    key: warmKey(runner.runnerId),
    set: { endingAtMs: ports.clock.nowMs() },
    conditions: [{ attr: 'state', op: '=', value: 'ending' }],
  });

/** One that ECS still runs is silent for a reason nobody knows: it is replaced. */
const ask = async (ports: WarmPoolPorts, runner: WarmRunner): Promise<'drained' | 'stopped' | null> => {
  const status = runner.taskArn === null ? null : await ports.tasks.status(runner.taskArn);
  if (status?.kind === 'stopped') {
    await ports.db.transact(warmForgotten(runner));
    return 'stopped';
  }
  return (await drain(ports, runner)) ? 'drained' : null;
};

type Counted = keyof Filled | null;

const tend = async (ports: WarmPoolPorts, runner: WarmRunner, isSurplus: boolean): Promise<Counted> => {
  switch (decideWarm(runner, isSurplus, ports.clock.nowMs()).action) {
    case 'keep':
      return null;
    case 'launch_again':
      await launch(ports, runner);
      return null;
    case 'drain':
      return (await drain(ports, runner)) ? 'drained' : null;
    case 'note_ending':
      await noteEnding(ports, runner);
      return null;
    case 'stop':
      /** The answer with its name never came: asked again, ECS names the task, which the next run stops. */
      if (runner.taskArn === null) await launch(ports, runner);
      else await stop(ports, runner);
      return runner.taskArn === null ? null : 'stopped';
    case 'ask':
      return ask(ports, runner);
  }
};

/** One runner or build that fails is reported, and never keeps the others. */
export const fillWarmPool = async (ports: WarmPoolPorts): Promise<Filled> => {
  const counts = { launched: 0, drained: 0, stopped: 0, failed: 0 };
  const attempt = async (name: string, run: () => Promise<Counted>): Promise<void> => {
    try {
      const counted = await run();
      if (counted !== null) counts[counted] += 1;
    } catch (error) {
      counts.failed += 1;
      ports.onError(name, error);
    }
  };
  const size = ports.warmPoolSize;
  const wanted = size === 0 ? [] : buildsToKeepWarm(await ports.builds.list());
  const revs = new Map(
    await Promise.all(wanted.map(async ({ buildId }) => [buildId, await fenceRev(ports.db, buildId)] as const)),
  );
  const runners = await listWarm(ports.db);
  /** A build that was registered anew has other tasks: those of before are too much. */
  const poolOf = ({ buildId, taskDefinitionArn }: Build) =>
    runners.filter((runner) => runner.buildId === buildId && runner.taskDefinition === taskDefinitionArn);
  const kept = new Set(
    wanted.flatMap((build) => {
      const surplus = new Set(surplusOf(poolOf(build), size));
      return poolOf(build).filter((runner) => !surplus.has(runner));
    }),
  );
  for (const runner of runners) await attempt(runner.runnerId, () => tend(ports, runner, !kept.has(runner)));
  for (const build of wanted) {
    const rev = revs.get(build.buildId) ?? 0;
    const launchedBefore = counts.launched;
    const missing = missingOf(poolOf(build), size, ports.clock.nowMs());
    /** What ECS refuses now it refuses again in a moment. */
    for (let made = 0; made < missing && counts.launched === launchedBefore + made; made += 1)
      await attempt(build.buildId, async () => ((await launchNew(ports, build, rev + made)) ? 'launched' : null));
  }
  return counts;
};
