/** Ports for adapter tests: a PTY that records what is typed, and a clock that the test moves. */
import type {
  AdapterPorts,
  AgentExit,
  AgentPty,
  AgentSpawn,
  ProviderEvent,
  SavedProvider,
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
  /** All that was kept, over every crash. */
  readonly events: ProviderEvent[];
  /** What was kept last for an adopt. */
  saved: SavedProvider;
  readonly typed: string[];
  readonly spawned: AgentSpawn[];
  screen: string;
  kills: number;
  /** Ends the program. */
  exit(exit: AgentExit): void;
  /** What happens when something is typed. */
  onType: (data: string) => void;
  /** Nothing holds the session once this resolves. */
  free: Promise<void>;
  /** The runner process dies: what it does from now on changes nothing. The program lives on for the ports that are returned. */
  crash(): FakePorts;
}

/** The terminal as pty-host keeps it over a crash of the runner. */
interface Terminal {
  readonly clock: ManualClock;
  readonly events: ProviderEvent[];
  readonly typed: string[];
  readonly spawned: AgentSpawn[];
  readonly written: Map<string, number>;
  readonly exited: PromiseWithResolvers<AgentExit>;
}

const portsOver = (terminal: Terminal, policy: ToolPolicy, saved: SavedProvider): FakePorts => {
  const { clock, events, typed, spawned, written, exited } = terminal;
  let isDead = false;
  const pty = (): AgentPty => ({
    pid: 4242,
    async write(data, once) {
      if (isDead || (once && once.number <= (written.get(once.lane) ?? 0))) return;
      if (once) written.set(once.lane, once.number);
      typed.push(data);
      ports.onType(data);
    },
    signal: async (name) => void typed.push(name),
    async kill() {
      if (isDead) return;
      ports.kills += 1;
      exited.resolve({ kind: 'exited', exitCode: 0, signal: 9 });
    },
    exited: exited.promise,
  });
  const ports: FakePorts = {
    ...{ clock, events, typed, spawned, policy, saved },
    screen: '',
    kills: 0,
    free: Promise.resolve(),
    onType: () => undefined,
    exit: exited.resolve,
    screenText: () => ports.screen,
    onEvents(some, known) {
      if (isDead) return;
      events.push(...some);
      ports.saved = JSON.parse(JSON.stringify(known));
    },
    whenFree: () => ports.free,
    pty: {
      async spawn(spawn) {
        spawned.push(spawn);
        return pty();
      },
      adopt: async () => pty(),
    },
    crash() {
      isDead = true;
      return portsOver(terminal, policy, ports.saved);
    },
  };
  return ports;
};

export function fakePorts(policy: ToolPolicy = { decide: () => ({ kind: 'allow' }) }): FakePorts {
  const exited = Promise.withResolvers<AgentExit>();
  const terminal = { clock: manualClock(), events: [], typed: [], spawned: [], written: new Map(), exited };
  return portsOver(terminal, policy, {});
}
