/** When a session ends by itself, told to it and to people. */
import { Lifetime } from './lifetime.ts';
import type { RuntimeOptions, SessionRuntime } from './session-runtime.ts';

const BOUNDS = { idle: 'nothing happened for the time set', max_duration: 'it ran for the longest time set' } as const;

export const sessionLifetime = (
  runtime: SessionRuntime,
  { assign, ports, saved }: RuntimeOptions,
  onDone: () => void,
): Lifetime =>
  new Lifetime({
    clock: ports.clock,
    session: assign.config,
    ranMs: runtime.core.ranMs,
    ...(saved ? { from: saved.progress } : {}),
    isScriptPlayed: () => runtime.agent.isScriptPlayed(),
    isLed: () => runtime.people.isLed,
    onDone,
    onWarn: (why, leftMs) => {
      const message = `The session will be stopped in ${Math.round(leftMs / 1_000)} s: ${BOUNDS[why]}.`;
      runtime.core.record({ type: 'alert_raised', code: `${why}_soon`, message });
    },
    onStop: (why) => void runtime.stop({ to: 'completed', reason: { code: why, message: `Stopped: ${BOUNDS[why]}.` } }),
  });
