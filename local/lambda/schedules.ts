/** EventBridge schedules of the topology: each fires every `everyMs`, one run at a time. */
import type { ScheduleSpec } from '../../infra/topology.ts';
import type { Clock, Random } from '../../shared/clock.ts';
import { scheduledEvent } from './scheduled-event.ts';
import type { LambdaInvoker, PlatformLog } from './types.ts';

interface Ports {
  readonly lambda: LambdaInvoker;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: PlatformLog;
}

/**
 * Starts the schedules. A run that takes longer than its period delays the next one: AWS would throttle the overlap on a
 * function with one reserved environment. `stop` resolves once no run is left and none can follow.
 */
export function runSchedules(
  schedules: readonly ScheduleSpec[],
  ports: Ports,
): {
  /** Fires one now, outside its period, unless it runs already. */ fire(name: string): Promise<void>;
  stop(): Promise<void>;
} {
  const { lambda, clock, log = () => {} } = ports;
  const timers = new Map<string, () => void>();
  const running = new Map<string, Promise<void>>();
  let stopped = false;

  const run = (spec: ScheduleSpec): Promise<void> => {
    const current = running.get(spec.name);
    if (current !== undefined) return current;
    const attempt = async () => {
      const result = await lambda.invoke(spec.function, scheduledEvent(ports, spec.name), { source: 'schedule' });
      if (!result.ok)
        log('schedule failed; its next run follows in its period', { schedule: spec.name, error: result.message });
    };
    const settled = attempt()
      .catch((error: unknown) => log('schedule cannot run', { schedule: spec.name, error }))
      .finally(() => running.delete(spec.name));
    running.set(spec.name, settled);
    return settled;
  };

  const arm = (spec: ScheduleSpec) => {
    if (stopped) return;
    timers.set(
      spec.name,
      clock.after(spec.everyMs, () => void run(spec).then(() => arm(spec))),
    );
  };
  for (const spec of schedules) arm(spec);

  return {
    fire: async (name) => {
      const spec = schedules.find((schedule) => schedule.name === name);
      if (spec === undefined) throw new Error(`The topology has no schedule "${name}".`);
      if (!stopped) await run(spec);
    },
    stop: async () => {
      stopped = true;
      for (const cancel of timers.values()) cancel();
      timers.clear();
      await Promise.all(running.values());
    },
  };
}
