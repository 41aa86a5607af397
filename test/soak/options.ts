/** What `npm run soak` was asked; a bad value gets one line that says what to write. */
import { parseArgs } from 'node:util';
import { parseChaos } from '../../local/chaos.ts';
import { RUNNER_SESSIONS_MAX, TENANT_LIVE_SESSIONS_MAX } from '../../shared/limits.ts';

export const CHAOS = 'seed=7,reorder=0.05,duplicate=0.05,drop=0.01,throttle=0.01,cut=0.001';
export const USAGE = `npm run soak -- [options]
  --sessions <n>    sessions at once (100; 8 with --real)
  --minutes <m>     how long they work once all of them run (10)
  --real            the real Claude Code on the scripted model, instead of the fake agent
  --runner <n>      sessions of each runner (25); 0 starts one task for each session
  --pace <s>        seconds between the prompts of a session (60)
  --chaos <spec>    faults of the platform (${CHAOS}); none for a calm one
  --hours <h>       no village: one session for so long on a virtual clock
  --help`;

export interface SoakOptions {
  readonly sessions: number;
  readonly minutes: number;
  readonly isReal: boolean;
  /** 0: each session is a task of its own. */
  readonly perRunner: number;
  readonly paceSec: number;
  /** Empty for none. */
  readonly chaos: string;
}

export type Asked =
  | { readonly kind: 'soak'; readonly options: SoakOptions }
  | { readonly kind: 'virtual'; readonly hours: number }
  | { readonly kind: 'help' }
  | { readonly kind: 'bad'; readonly message: string };

const ARGUMENTS = {
  sessions: { type: 'string' },
  minutes: { type: 'string', default: '10' },
  real: { type: 'boolean', default: false },
  runner: { type: 'string', default: '25' },
  pace: { type: 'string', default: '60' },
  chaos: { type: 'string', default: CHAOS },
  hours: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const numberIn = (name: string, text: string, min: number, max: number, isWhole = true): number => {
  const value = Number(text);
  if (text.trim() === '' || !(value >= min && value <= max) || (isWhole && !Number.isInteger(value)))
    throw new Error(`--${name} ${text}: write a ${isWhole ? 'whole ' : ''}number from ${min} to ${max}.`);
  return value;
};

export const parseOptions = (argv: readonly string[]): Asked => {
  try {
    const { values } = parseArgs({ args: [...argv], options: ARGUMENTS, strict: true });
    if (values.help) return { kind: 'help' };
    if (values.hours !== undefined) return { kind: 'virtual', hours: numberIn('hours', values.hours, 0.1, 240, false) };
    const chaos = values.chaos === 'none' ? '' : values.chaos;
    const faults = parseChaos(chaos);
    if (!faults.ok) throw new Error(`--chaos ${faults.message}`);
    // The last place is the attached session's.
    const sessions = numberIn(
      'sessions',
      values.sessions ?? (values.real ? '8' : '100'),
      1,
      TENANT_LIVE_SESSIONS_MAX - 1,
    );
    const options = {
      ...{ sessions, chaos, isReal: values.real },
      minutes: numberIn('minutes', values.minutes, 0.1, 24 * 60, false),
      perRunner: numberIn('runner', values.runner, 0, RUNNER_SESSIONS_MAX),
      paceSec: numberIn('pace', values.pace, 1, 3_600),
    };
    return { kind: 'soak', options };
  } catch (error) {
    return { kind: 'bad', message: error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error) };
  }
};
