/**
 * One session floods, another one of the same runner echoes keys: what the quiet one's keystrokes take then, against the same session
 * alone in the same run. The runner and pty-host are real; the control plane is the tests' own, so that only the runner is measured.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../shared/clock.ts';
import type { FakeSession } from '../fakes/control-session.ts';
import { type RunningRunner, startRunner } from '../integration/runner-fixture.ts';
import { type Summary, summarise } from './harness.ts';

const VIEWER = 'viewer-1';
const WARM_UP = 50;
/** Between an echo and the next key, so that keys meet every phase of the flood. */
const PAUSE_MS = 7;
const FLOOD_BYTES = 50_000_000;
const KEYS = 'abcdefghijklmnopqrstuvwxyz';

/** Lines that scroll away, and a screen that is drawn again and again: the second one cannot be skipped by the screen model. */
const FLOODS = {
  lines: (index: number) =>
    `${String(index).padStart(10, '0')} ${'the quick brown fox jumps over the lazy dog '.repeat(2)}\n`,
  drawing: (index: number) =>
    `\x1b[${1 + (index % 30)};${1 + (index % 100)}H\x1b[${30 + (index % 8)}m${'drawn'.repeat(4)}${index}\x1b[0m`,
} as const;

const floodFile = (root: string, name: keyof typeof FLOODS): string => {
  const parts: string[] = [];
  for (let index = 0, sizeBytes = 0; sizeBytes < FLOOD_BYTES / 10; index += 1) {
    const part = FLOODS[name](index);
    sizeBytes += part.length;
    parts.push(part);
  }
  const file = join(root, `flood-${name}`);
  writeFileSync(file, parts.join(''));
  return file;
};

const typist = (session: FakeSession) => {
  let inputSeq = 0;
  return (data: string): void => {
    inputSeq += 1;
    const { sessionId, epoch } = session;
    session.options.post({
      ...{ type: 'input', sessionId, epoch, viewerId: VIEWER, source: 'viewer' },
      ...{ controlTerm: 1, inputSeq, data, submit: false },
    });
  };
};

const shell = async ({ control, configOf }: RunningRunner, name: string): Promise<FakeSession> => {
  const session = control.add(configOf(name));
  await control.until('running', () =>
    session.events.some((event) => event.type === 'session_state_changed' && event.toState === 'running'),
  );
  session.setWatchers({
    ...{ rev: 1, controllerId: VIEWER, controlTerm: 1 },
    viewers: [{ viewerId: VIEWER, mode: 'control' }],
  });
  return session;
};

/** Whatever has come is forgotten: a bench of minutes must not keep it. */
const echo = async ({ control }: RunningRunner, session: FakeSession, n: number, type: (data: string) => void) => {
  const values: number[] = [];
  const sees = (text: string) => () =>
    control.frames.some(
      (frame) => frame.type === 'terminal_output' && frame.sessionId === session.sessionId && frame.data.includes(text),
    );
  for (let index = 0; index < n + WARM_UP; index += 1) {
    const key = KEYS[index % KEYS.length] ?? 'a';
    control.frames.length = 0;
    const startedMs = performance.now();
    type(key);
    await control.until(`the echo of ${key}`, sees(key));
    if (index >= WARM_UP) values.push(performance.now() - startedMs);
    await delay(PAUSE_MS);
    if (index % 60 !== 59) continue;
    control.frames.length = 0;
    type('\u0015\r');
    await control.until('a prompt', sees(' # '));
  }
  return summarise(values);
};

interface Flooded {
  readonly echo: Summary;
  /** Times what the same session took alone, before and after the floods. */
  readonly ratioP50: number;
  readonly ratioP99: number;
  /** Printed by the other session meanwhile. */
  readonly floodedMb: number;
  readonly floodMbPerSec: number;
}

const underFlood = async (
  runner: RunningRunner,
  quiet: { session: FakeSession; type: (data: string) => void },
  loud: { session: FakeSession; type: (data: string) => void },
  file: string,
  n: number,
): Promise<Omit<Flooded, 'ratioP50' | 'ratioP99'>> => {
  const offset = () => loud.session.events.at(-1)?.offset ?? 0;
  const before = offset();
  const startedMs = performance.now();
  loud.type(`trap 'break' INT; while :; do cat ${file}; done; trap - INT\r`);
  await runner.control.until('flood', () => offset() > before + 1_000_000);
  const result = await echo(runner, quiet.session, n, quiet.type);
  const tookSec = (performance.now() - startedMs) / 1_000;
  const floodedMb = (offset() - before) / 1e6;
  loud.type('\x03');
  // The next measurement begins in silence.
  let last = -1;
  while (last !== offset()) {
    last = offset();
    await delay(3_000);
  }
  const round = (value: number) => Math.round(value * 10) / 10;
  return { echo: result, floodedMb: round(floodedMb), floodMbPerSec: round(floodedMb / tookSec) };
};

const ratio = (value: number, before: number, after: number): number =>
  Math.round((value / ((before + after) / 2)) * 10) / 10;

export const fairness = async (n: number): Promise<object> => {
  const runner = await startRunner({
    kind: 'group',
    env: { MAX_CONCURRENT_SESSIONS: '4', USAGE_TICK_INTERVAL_MS: '1000', LOG_LEVEL: 'warn' },
  });
  try {
    const { control, root } = runner;
    await control.until('hello', () => control.frames.some(({ type }) => type === 'hello'));
    const sessions = [await shell(runner, 'A'), await shell(runner, 'B')] as const;
    const [loud, quiet] = sessions.map((session) => ({ session, type: typist(session) }));
    if (!loud || !quiet) throw new Error('two sessions are needed');
    const startedMs = systemClock.monotonicMs();
    const alone = await echo(runner, quiet.session, n, quiet.type);
    const floods: Record<string, Awaited<ReturnType<typeof underFlood>>> = {};
    for (const name of ['lines', 'drawing'] as const)
      floods[name] = await underFlood(runner, quiet, loud, floodFile(root, name), n);
    const aloneAgain = await echo(runner, quiet.session, n, quiet.type);
    const tookMs = Math.round(systemClock.monotonicMs() - startedMs);
    const compared = Object.fromEntries(
      Object.entries(floods).map(([name, flood]): [string, Flooded] => [
        name,
        {
          ...flood,
          ratioP50: ratio(flood.echo.p50, alone.p50, aloneAgain.p50),
          ratioP99: ratio(flood.echo.p99, alone.p99, aloneAgain.p99),
        },
      ]),
    );
    return { n, unit: 'ms', baseline: { alone, aloneAgain }, ...compared, tookMs, problems: control.problems };
  } finally {
    await runner.stop();
  }
};
