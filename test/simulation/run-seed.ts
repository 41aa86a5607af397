/** One seed from its first session to the last check: a time of faults, a time of calm, then everything must have come right. */
import { checkVillage } from '../invariants/check-village.ts';
import type { Violation } from '../invariants/violation.ts';
import { checkCalm, checkPoolIsGone, checkWatchers } from './calm-checks.ts';
import { type Done, doneIn } from './done.ts';
import type { FaultCounts } from './faults.ts';
import type { Plant } from './plant.ts';
import { NoSpaceError } from './sim-disk.ts';
import { World } from './world.ts';

export interface SeedResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly faults: FaultCounts;
  readonly steps: number;
  readonly events: number;
  readonly epochs: number;
  readonly done: Done;
}

const FAULTY_MS = 20 * 60_000;
const CALM_ROUND_MS = 25_000;
const CALM_ROUNDS = 6;
const POOL_ROUNDS = 8;
/** The longest way to an end: a lease, the time until a frozen runner is given up, the reaper's rounds. */
const END_MS = 60 * 60_000;
const STOP_AGAIN_MS = 30_000;

/** A rejection that nobody handles ends a runner's process, as main.ts has it; any other is a fault of the simulation itself. */
export const crashOnRejection = (): void => {
  process.on('unhandledRejection', (error) => {
    if (!(error instanceof NoSpaceError)) throw error;
    error.user.die();
  });
};

export const runSeed = async (seed: number, plant: Plant = {}): Promise<SeedResult> => {
  const world = new World(seed, plant);
  const { scheduler, store, faults, people, chance, pools, machines } = world;
  await store.write({
    kind: 'put',
    table: 'releases',
    item: {
      ...{ pk: 'PLATFORM#BUILDS', sk: 'BUILD#build-1' },
      build: {
        ...{ buildId: 'build-1', clis: { shell: 'system' }, runnerVersion: '0.1.0', status: 'ready' },
        ...{ taskDefinitionArn: 'arn:task-definition/build-1:1', createdAt: '2026-01-01T00:00:00.000Z' },
      },
    },
  });
  if (pools !== null) machines.begin(pools.machines);
  const persons = pools === null ? chance.int(1, 4) : chance.int(2, 4);
  for (let person = 0; person < persons; person += 1) void people.begin();
  await scheduler.run(scheduler.nowMs + FAULTY_MS);
  faults.stop();
  people.goHome();
  if (pools !== null) machines.rest();
  const watched: Violation[] = [];
  for (let round = 0; round < CALM_ROUNDS; round += 1) {
    people.reloadAll();
    await scheduler.run(scheduler.nowMs + CALM_ROUND_MS);
    watched.push(...checkWatchers(world));
  }
  if (pools !== null) watched.push(...(await calmPools(world)));
  const isOver = () => world.live.length === 0 && !world.hasLiveTasks;
  const untilMs = scheduler.nowMs + END_MS;
  while (!isOver() && scheduler.nowMs < untilMs) {
    for (const ref of world.live) void people.stop(ref);
    await scheduler.run(Math.min(untilMs, scheduler.nowMs + STOP_AGAIN_MS), isOver);
  }
  // Late events of ECS, the reaper's last rounds.
  await scheduler.run(scheduler.nowMs + 5 * 60_000);

  const violations: Violation[] = [...watched, ...checkPoolIsGone(world), ...world.seen];
  let events = 0;
  let epochs = 0;
  try {
    const { stored } = world;
    events = stored.sessions.reduce((sum, session) => sum + session.events.length, 0);
    epochs = stored.sessions.reduce((sum, session) => sum + session.epochs.length, 0);
    violations.push(...checkVillage({ stored, known: world.truth.epochs, isOver: true }));
  } catch (error) {
    violations.push({ rule: 'event_changed', sessionId: null, message: `what is stored does not parse: ${error}` });
  }
  for (const task of world.ecs.running)
    violations.push({ rule: 'session_ends', sessionId: null, message: `task ${task.startedBy} still runs` });
  return { seed, violations, faults: faults.counts, steps: scheduler.steps, events, epochs, done: doneIn(world) };
};

/** Long enough for every wait that is left from before: leases, back-offs, the reaper's rounds. Then one runner is revoked. */
const calmPools = async (world: World): Promise<Violation[]> => {
  const { scheduler, machines, pools } = world;
  const found: Violation[] = [];
  machines.revokeOne();
  for (let round = 0; round < POOL_ROUNDS; round += 1) {
    await scheduler.run(scheduler.nowMs + CALM_ROUND_MS);
    found.push(...checkCalm(world));
  }
  if (pools !== null) pools.warmSize = 0;
  return found;
};
