/**
 * Many sessions at once in a real village under chaos: what was lost (nothing, by the invariants of the simulation), what a keystroke
 * took, what each session costs in memory, and whether anything grows.
 */
import { dirname } from 'node:path';
import { sleep, systemClock } from '../../shared/clock.ts';
import type { SessionEvent } from '../../shared/events.ts';
import { isFinal } from '../../shared/session.ts';
import { type OwnRunner, ownRunner } from '../fakes/own-runner-process.ts';
import { type TestVillage, testVillage, until } from '../fakes/village.ts';
import { checkStored } from '../fakes/village-check.ts';
import { databaseOf } from '../fakes/village-database.ts';
import type { Violation } from '../invariants/violation.ts';
import { type Keystrokes, startTyping, summaryOf } from './keystrokes.ts';
import type { SoakOptions } from './options.ts';
import { type Growth, growthOf, perSession, type Sample, sampleOf } from './samples.ts';
import { buildSpec, endSession, prepareCli, startSession, startWorker, type Worker } from './workers.ts';

const SETTLE_MS = 3_000;
const SAMPLE_EVERY_MS = 5_000;
const STARTING_AT_ONCE = { fake: 3, real: 1 };
const ENDING_AT_ONCE = 8;
const QUIET_TIMEOUT_MS = 120_000;
const VIOLATIONS_SHOWN = 20;

export interface SoakResult {
  readonly sessions: number;
  readonly minutes: number;
  readonly chaos: string;
  readonly agent: string;
  readonly perRunner: number;
  readonly startedInMs: number;
  /** Broken promises; 0 is what must be. */
  readonly lost: number;
  readonly violations: readonly Violation[];
  readonly events: number;
  readonly ledgerRows: number;
  readonly epochs: number;
  readonly endStates: Readonly<Record<string, number>>;
  readonly prompts: { readonly taken: number; readonly unsure: number; readonly turns: number };
  readonly keystroke: Keystrokes;
  /** Proportional, in the parts of the platform; `sum` is village, runner and pty-host. */
  readonly mbPerSession: Readonly<Record<'village' | 'runner' | 'ptyHost' | 'sum', number>>;
  readonly growth: Readonly<Record<'village' | 'runner' | 'ptyHost', Growth>>;
  readonly leftProcesses: number;
}

interface Fleet {
  readonly pools: readonly string[];
  readonly runners: readonly OwnRunner[];
}

const startFleet = async (village: TestVillage, options: SoakOptions, cliFolder: string): Promise<Fleet> => {
  const { sessions, perRunner } = options;
  if (perRunner === 0) return { pools: ['hosted'], runners: [] };
  const runners: OwnRunner[] = [];
  const path = `${dirname(process.execPath)}:${cliFolder}:/usr/local/bin:/usr/bin:/bin`;
  // One place more: the attached session's.
  for (let index = 0; index * perRunner < sessions + 1; index += 1)
    runners.push(await ownRunner(village, { name: `soak-${index}`, maxSessions: perRunner, env: { PATH: path } }));
  return { pools: runners.map(({ group }) => group), runners };
};

/** Every prompt that was taken is a turn, once; one of which nobody knows may be. */
const checkPrompts = (workers: readonly Worker[], prompts: ReadonlyMap<string, readonly string[]>) =>
  workers.flatMap(({ sessionId, taken, unsure }): Violation[] => {
    const turns = prompts.get(sessionId) ?? [];
    const found = (wanted: string) => turns.filter((prompt) => prompt === wanted).length;
    const broken = (rule: Violation['rule'], message: string): Violation => ({ rule, sessionId, message });
    return [
      ...taken
        .slice(0, -1)
        .filter((prompt) => found(prompt) === 0)
        .map((prompt) => broken('event_lost', `prompt ${prompt} was taken and is no turn`)),
      ...taken
        .filter((prompt) => found(prompt) > 1)
        .map((prompt) => broken('event_twice', `prompt ${prompt} is ${found(prompt)} turns`)),
      ...turns
        .filter((prompt) => !taken.includes(prompt) && !unsure.includes(prompt))
        .map((prompt) => broken('event_changed', `turn ${prompt} was never asked for`)),
    ];
  });

const work = async (village: TestVillage, options: SoakOptions, print: (line: string) => void, samples: Sample[]) => {
  const endMs = systemClock.monotonicMs() + options.minutes * 60_000;
  for (let said = 0; systemClock.monotonicMs() < endMs; said += 1) {
    await sleep(systemClock, Math.min(SAMPLE_EVERY_MS, Math.max(0, endMs - systemClock.monotonicMs())));
    const sample = sampleOf(village, systemClock.monotonicMs());
    samples.push(sample);
    const { village: own, runner } = sample.parts;
    if (said % 12 === 0)
      print(`working: village ${Math.round(own.mb)} MB, ${own.files} files; runners ${Math.round(runner.mb)} MB`);
  }
};

const startWorkers = async (
  village: TestVillage,
  options: SoakOptions,
  { pools }: Fleet,
  print: (line: string) => void,
) => {
  const { sessions, perRunner, isReal, paceSec } = options;
  const buildId = perRunner === 0 ? buildSpec(isReal).replace('@', '-') : undefined;
  const workers: Worker[] = [];
  let next = 0;
  const starter = async (): Promise<void> => {
    for (let index = next++; index < sessions; index = next++) {
      const pool = pools[index % pools.length] ?? 'hosted';
      workers.push(await startWorker(village, { name: `worker-${index}`, pool, buildId, paceMs: paceSec * 1_000 }));
      if (workers.length % 10 === 0) print(`${workers.length} sessions run`);
    }
  };
  await Promise.all(Array.from({ length: isReal ? STARTING_AT_ONCE.real : STARTING_AT_ONCE.fake }, starter));
  return workers;
};

interface Worked {
  readonly options: SoakOptions;
  readonly workers: readonly Worker[];
  readonly idle: Sample;
  readonly samples: readonly Sample[];
  readonly endStates: Readonly<Record<string, number>>;
  readonly shown: readonly SessionEvent[];
}

/** Programs of sessions; runners of one's own stay. */
const programsOf = (village: TestVillage) =>
  village.processes().filter(({ command }) => /fakes\/agent|\bclaude\b.*--settings|--norc/.test(command));

const endAll = async (village: TestVillage, sessionIds: readonly string[]): Promise<Record<string, number>> => {
  const states: Record<string, number> = {};
  const waiting = [...sessionIds];
  const ender = async (): Promise<void> => {
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      const { state } = await endSession(village, id);
      states[state] = (states[state] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: ENDING_AT_ONCE }, ender));
  // What is left over is a figure of the result.
  await until(
    'the end of every program',
    () => (programsOf(village).length === 0 ? true : undefined),
    QUIET_TIMEOUT_MS,
  ).catch(() => {});
  return states;
};

const judge = async (village: TestVillage, { options, workers, idle, samples, endStates, shown }: Worked) => {
  const database = databaseOf(village);
  const { stored, violations } = await checkStored(database, { isOver: true, seen: shown }).finally(() =>
    database.close(),
  );
  const promptsOf = (events: readonly SessionEvent[]) =>
    events.flatMap((event) => (event.type === 'turn_started' ? [event.prompt] : []));
  const prompts = new Map(stored.sessions.map(({ ref, events }) => [ref.sessionId, promptsOf(events)]));
  const all = [...violations, ...checkPrompts(workers, prompts)];
  const last = samples.at(-1) ?? idle;
  const cost = (part: 'village' | 'runner' | 'ptyHost') => perSession(idle, last, options.sessions, part);
  const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);
  return {
    ...{ lost: all.length, violations: all.slice(0, VIOLATIONS_SHOWN), endStates },
    events: total(stored.sessions.map(({ events }) => events.length)),
    ledgerRows: total(stored.sessions.map(({ ledger }) => ledger.length)),
    epochs: total(stored.sessions.map(({ epochs }) => epochs.length)),
    prompts: {
      taken: total(workers.map(({ taken }) => taken.length)),
      unsure: total(workers.map(({ unsure }) => unsure.length)),
      turns: total([...prompts.values()].map(({ length }) => length)),
    },
    mbPerSession: {
      ...{ village: cost('village'), runner: cost('runner'), ptyHost: cost('ptyHost') },
      sum: Math.round((cost('village') + cost('runner') + cost('ptyHost')) * 100) / 100,
    },
    growth: {
      village: growthOf(samples, 'village'),
      runner: growthOf(samples, 'runner'),
      ptyHost: growthOf(samples, 'ptyHost'),
    },
    leftProcesses: programsOf(village).length + stored.sessions.filter(({ head }) => !isFinal(head.state)).length,
  };
};

const workOn = async (village: TestVillage, options: SoakOptions, fleet: Fleet, print: (line: string) => void) => {
  const shell = { provider: 'shell', repository: { url: village.repository('typed-into') }, pool: fleet.pools.at(-1) };
  const attached = await startSession(village, shell, 'attached');
  const typist = startTyping(village, attached);
  await sleep(systemClock, SETTLE_MS);
  const idle = sampleOf(village, systemClock.monotonicMs());
  const beganMs = systemClock.monotonicMs();
  const workers = await startWorkers(village, options, fleet, print);
  const startedInMs = Math.round(systemClock.monotonicMs() - beganMs);
  print(`all ${workers.length} sessions run after ${Math.round(startedInMs / 1_000)} s`);
  const samples: Sample[] = [];
  const typedBefore = typist.tookMs.length;
  await work(village, options, print, samples);
  const keystroke = summaryOf(typist, typedBefore);
  const shown = await typist.stop();
  await Promise.all(workers.map((worker) => worker.stop()));
  print('ending');
  const endStates = await endAll(village, [attached, ...workers.map(({ sessionId }) => sessionId)]);
  const judged = await judge(village, { options, workers, idle, samples, endStates, shown });
  return { startedInMs, keystroke, ...judged };
};

const run = async (village: TestVillage, options: SoakOptions, print: (line: string) => void): Promise<SoakResult> => {
  const cliFolder = prepareCli(village, options.isReal);
  await village.start({ args: options.chaos === '' ? [] : ['--chaos', options.chaos] });
  const added = await village.command('builds', 'add', buildSpec(options.isReal));
  if (added.code !== 0) throw new Error(`the build was not added: ${added.stderr}`);
  const fleet = await startFleet(village, options, cliFolder);
  try {
    const { sessions, minutes, chaos, perRunner, isReal } = options;
    const asked = { sessions, minutes, chaos, perRunner, agent: isReal ? buildSpec(true) : 'fake agent' };
    return { ...asked, ...(await workOn(village, options, fleet, print)) };
  } finally {
    for (const runner of fleet.runners) runner.kill();
    await Promise.all(fleet.runners.map(({ exited }) => exited));
  }
};

export const soak = async (options: SoakOptions, print: (line: string) => void): Promise<SoakResult> => {
  const village = testVillage();
  try {
    return await run(village, options, print);
  } finally {
    await village.close();
  }
};
