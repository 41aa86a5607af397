/** Ports for adapter tests: a PTY that records what is typed, and a clock that the test moves. */
import type {
  AdapterPorts,
  AgentExit,
  AgentSpawn,
  ProviderEvent,
} from '../../../../runner-image/src/adapters/contract.ts';
import type { ToolPolicy } from '../../../../runner-image/src/policy/contract.ts';
import type { Clock } from '../../../../shared/clock.ts';

export interface ManualClock extends Clock {
  /** Runs what is due, in order, with the promises in between. */
  advance(ms: number): Promise<void>;
  readonly pending: number;
}

/** Lets everything that waits for a promise or the event loop go on. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

export function manualClock(startMs = 1_800_000_000_000): ManualClock {
  let nowMs = startMs;
  const timers = new Set<{ atMs: number; run: () => void }>();
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs - startMs,
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      for (;;) {
        await settle();
        const next = [...timers].filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
        if (next === undefined) break;
        timers.delete(next);
        nowMs = Math.max(nowMs, next.atMs);
        next.run();
      }
      nowMs = untilMs;
    },
    get pending() {
      return timers.size;
    },
  };
}

export interface FakePorts extends AdapterPorts {
  readonly clock: ManualClock;
  readonly events: ProviderEvent[];
  readonly typed: string[];
  readonly spawned: AgentSpawn[];
  screen: string;
  kills: number;
  /** Ends the program. */
  exit(exit: AgentExit): void;
  /** What happens when something is typed. */
  onType: (data: string) => void;
}

export function fakePorts(policy: ToolPolicy = { decide: () => ({ kind: 'allow' }) }): FakePorts {
  const exited = Promise.withResolvers<AgentExit>();
  const ports: FakePorts = {
    clock: manualClock(),
    events: [],
    typed: [],
    spawned: [],
    screen: '',
    kills: 0,
    onType: () => undefined,
    exit: exited.resolve,
    policy,
    screenText: () => ports.screen,
    onEvent: (event) => ports.events.push(event),
    pty: {
      async spawn(spawn) {
        ports.spawned.push(spawn);
        return {
          pid: 4242,
          async write(data) {
            ports.typed.push(data);
            ports.onType(data);
          },
          signal: async (name) => void ports.typed.push(name),
          async kill() {
            ports.kills += 1;
            exited.resolve({ kind: 'exited', exitCode: 0, signal: 9 });
          },
          exited: exited.promise,
        };
      },
    },
  };
  return ports;
}
