/**
 * A day in a minute or two: sessions one after the other, each as long as one may be, with rare events, planned redials, cuts and
 * lost answers, on a virtual clock. Afterwards nothing may be missing, and neither heap nor timers may have grown with the hours.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { reap } from '../../functions/sessions/reap.ts';
import { isFinal, SessionState } from '../../shared/session.ts';
import { checkVillage } from '../invariants/check-village.ts';
import { storedVillage } from '../invariants/stored.ts';
import type { Violation } from '../invariants/violation.ts';
import { Chance } from '../simulation/chance.ts';
import { type ManualClock, manualClock } from '../unit/runner-image/adapters/fake-ports.ts';
import { type VirtualSession, virtualVillage } from './virtual-village.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Files and git work in real time while the clock stands still. */
const REAL_PAUSE_MS = 20;
/** No faster than those, or what has a limit of its own would run out. */
const STEP_MS = 20;
const RAN_OUT_MS = 120_000;
const TURN_PAUSES = 25;
const TURN_EVERY_MINUTES = 30;
const OUTPUT_EVERY_MINUTES = 10;
const CUT_EVERY_MINUTES = 170;
const SEED = 24;
const LINE = { drop: 0.01, duplicate: 0.02 };
const BYTES_PER_MB = 1_048_576;

export interface VirtualSoakResult {
  readonly hours: number;
  readonly tookMs: number;
  readonly sessions: number;
  readonly dials: number;
  readonly events: number;
  readonly lost: number;
  readonly violations: readonly Violation[];
  /** One figure for each hour, without the stored text; what else the soak keeps (items, sent events) is in it: about 0.5 MB an hour. */
  readonly heapMb: readonly number[];
  readonly timers: readonly number[];
}

const realPause = () => new Promise((resolve) => setTimeout(resolve, REAL_PAUSE_MS));
const collect: () => void = (() => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc');
})();
const heapMbNow = (): number => {
  collect();
  return Math.round(process.memoryUsage().heapUsed / BYTES_PER_MB);
};
const makeRepository = (folder: string): string => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'README.md'), 'hello\n');
  const identity = ['-c', 'user.name=soak', '-c', 'user.email=soak@example.invalid', '-c', 'init.defaultBranch=main'];
  for (const args of [
    ['init', '-q'],
    ['add', '.'],
    ['commit', '-qm', 'first'],
  ])
    execFileSync('git', [...identity, ...args], { cwd: folder, stdio: 'ignore' });
  return folder;
};

/** Lets real programs do their part, until what is asked for is there. */
const settled = async (clock: ManualClock, what: string, isThere: () => boolean): Promise<void> => {
  const deadlineMs = performance.now() + RAN_OUT_MS;
  while (!isThere()) {
    if (performance.now() > deadlineMs) throw new Error(`waited ${RAN_OUT_MS} ms for ${what}`);
    await clock.advance(STEP_MS);
    await realPause();
  }
};

/** What happens in a minute of a session. */
const minuteOf = async (clock: ManualClock, session: VirtualSession, minute: number): Promise<void> => {
  if (minute % OUTPUT_EVERY_MINUTES === 0) session.print(`minute ${minute} é漢\r\n`.repeat(20));
  if (minute % CUT_EVERY_MINUTES === 0) session.cut();
  if (minute % TURN_EVERY_MINUTES !== 0) return;
  const turn = minute / TURN_EVERY_MINUTES;
  const tool = { toolUseId: `tool-${turn}`, toolName: 'Edit', summary: 'src/a.ts' };
  session.emit(
    { type: 'TURN_STARTED', turn, prompt: `turn ${turn}` },
    { type: 'TOOL_REQUESTED', ...tool },
    { type: 'TOOL_STARTED', ...tool },
  );
  if (existsSync(session.folder)) writeFileSync(path.join(session.folder, `file-${turn % 5}.txt`), `turn ${turn}\n`);
  const { summary: _summary, ...done } = tool;
  session.emit(
    { type: 'TOOL_FINISHED', ...done, ok: true, tookMs: 20 },
    { type: 'TURN_FINISHED', turn, tookMs: 1_000, outcome: 'done' },
    { type: 'PROVIDER_IDLE', turnsDone: turn },
  );
  // Diff and checkpoint are made by real programs.
  for (let pause = 0; pause < TURN_PAUSES; pause += 1) {
    await clock.advance(STEP_MS);
    await realPause();
  }
};

export const virtualSoak = async (hours: number, print: (line: string) => void): Promise<VirtualSoakResult> => {
  const root = mkdtempSync(path.join(tmpdir(), 'village-soak-'));
  const clock = manualClock(Date.UTC(2026, 0, 1));
  const beganMs = performance.now();
  const village = await virtualVillage(clock, root, makeRepository(path.join(root, 'origin')), {
    random: new Chance(SEED),
    ...LINE,
  });
  const sessions: VirtualSession[] = [];
  const heapMb: number[] = [];
  const timers: number[] = [];
  const check = (isOver: boolean): Violation[] =>
    checkVillage({
      stored: storedVillage(village.tables()),
      known: isOver ? sessions.map((one) => one.known()) : [],
      isOver,
    });
  const isOver = (session: VirtualSession): boolean => isFinal(SessionState.parse(session.state()));
  const hourOver = (): void => {
    const usedMb = heapMbNow();
    const { sessions: own, events, usage } = village.tables();
    // Strings of the tables as the engine keeps them: one byte a character.
    const storedBytes = JSON.stringify([own, events, usage]).length;
    heapMb.push(Math.round(usedMb - storedBytes / BYTES_PER_MB));
    timers.push(clock.pending);
  };
  try {
    const endMs = clock.nowMs() + hours * HOUR_MS;
    while (clock.nowMs() < endMs) {
      const session = await village.start();
      sessions.push(session);
      await settled(clock, `session ${sessions.length} to run`, () => session.state() === 'running');
      for (let minute = 1; !isOver(session) && clock.nowMs() < endMs; minute += 1) {
        await clock.advance(MINUTE_MS);
        await minuteOf(clock, session, minute);
        await reap(village.ports);
        if (minute % 60 === 30) hourOver();
        if (minute % 60 === 0)
          print(`hour ${minute / 60} of session ${sessions.length}: ${timers.at(-1)} timers, heap ${heapMb.at(-1)} MB`);
      }
      // The last one has the time that is left: a person stops it.
      if (!isOver(session)) await village.stop(session.sessionId);
      await settled(clock, `the end of session ${sessions.length}`, () => isOver(session));
      let hasLeft = false;
      void session.over.then(() => {
        hasLeft = true;
      });
      await settled(clock, 'the runner to leave', () => hasLeft);
    }
    const violations = check(true);
    const stored = storedVillage(village.tables());
    return {
      ...{ hours, tookMs: Math.round(performance.now() - beganMs), sessions: sessions.length, heapMb, timers },
      dials: sessions.reduce((sum, session) => sum + session.dials(), 0),
      events: stored.sessions.reduce((sum, { events }) => sum + events.length, 0),
      ...{ lost: violations.length, violations: violations.slice(0, 20) },
    };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
};
