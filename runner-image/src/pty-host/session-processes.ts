/**
 * Finds, freezes and kills every process of a session. A program may daemonise itself (setsid, double fork), so neither
 * the process tree nor the session id alone is enough: each spawn carries a random mark in its environment too.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { type Clock, sleep } from '../../../shared/clock.ts';
import {
  PTY_KILL_GRACE_MS,
  PTY_KILL_MAX_MS,
  PTY_KNOWN_PIDS_MAX,
  PTY_SCAN_INTERVAL_MS,
  PTY_THAW_SETTLE_MAX_MS,
  PTY_THAW_SETTLE_MS,
} from '../../../shared/limits.ts';

export const SESSION_MARK_VARIABLE = 'VILLAGE_SESSION_MARK';
/** In the environment of the runner and of the programs it runs for itself; never in that of a session. */
export const RUNNER_MARK_VARIABLE = 'VILLAGE_RUNNER_MARK';

/** What identifies a session's processes: the mark, and the pid that node-pty made a session leader. */
export interface SessionRoot {
  readonly mark: string;
  readonly pid: number;
  /** Start of `pid` in clock ticks: a pid is reused one day, the pair is not. Undefined when it had ended already. */
  readonly startTicks: number | undefined;
  /** Start ticks of its processes by pid, as they were seen last: what cleaned its environment stays one when its parent has ended. */
  readonly known: Map<number, number>;
}

interface ProcEntry {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  /** One letter as in proc(5): T is stopped, Z a zombie. */
  readonly state: string;
  readonly startTicks: number;
  /** Its first thread has ended and shows as a zombie without an environment, while others run on. */
  readonly isLeaderless: boolean;
}

/** The name in parentheses may hold spaces and parentheses itself: fields count from the last one. */
const statFields = (path: string): string[] => {
  const stat = readFileSync(path, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
};

/** Threads other than the first. */
const threadsOf = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/task`)
    .filter((name) => name !== String(pid))
    .map((name) => `/proc/${pid}/task/${name}`);

const stateOfThread = (path: string): string => {
  try {
    return statFields(`${path}/stat`)[0] ?? '';
  } catch {
    return 'X'; // It ended meanwhile.
  }
};

const RUNS_FIRST = ['R', 'S', 'D', 't', 'T'];
/** As that of a whole process: it runs while one of its threads does. */
const stateOfThreads = (pid: number): string => {
  const states = threadsOf(pid)
    .map(stateOfThread)
    .filter((state) => state !== 'Z' && state !== 'X');
  return RUNS_FIRST.find((state) => states.includes(state)) ?? states[0] ?? 'Z';
};

const readEntry = (pid: number): ProcEntry | undefined => {
  try {
    const fields = statFields(`/proc/${pid}/stat`);
    const [parent, session, threads, startTicks] = [1, 3, 17, 19].map((index) => Number(fields[index]));
    const isLeaderless = fields[0] === 'Z' && (threads ?? 1) > 1;
    const state = isLeaderless ? stateOfThreads(pid) : (fields[0] ?? '');
    return { pid, state, parent: parent ?? 0, session: session ?? 0, startTicks: startTicks ?? 0, isLeaderless };
  } catch {
    return undefined; // The process ended between the listing and the read.
  }
};

const readEntries = (): ProcEntry[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readEntry(Number(name)) ?? [])
    .filter((entry) => entry.pid !== process.pid);

const hasInEnvironment = (path: string, needle: Buffer): boolean => {
  try {
    return readFileSync(`${path}/environ`).includes(needle);
  } catch {
    return false; // Ended meanwhile, or of a foreign user: not one of ours.
  }
};

const carriesMark = ({ pid, isLeaderless }: ProcEntry, needle: Buffer): boolean => {
  if (!isLeaderless) return hasInEnvironment(`/proc/${pid}`, needle);
  try {
    return threadsOf(pid).some((path) => hasInEnvironment(path, needle));
  } catch {
    return false; // Ended meanwhile.
  }
};

/** The root of a program that was just started; to be called before its pid can be reused. */
export const sessionRoot = (mark: string, pid: number): SessionRoot => ({
  mark,
  pid,
  startTicks: readEntry(pid)?.startTicks,
  known: new Map(),
});

/** Live (not zombie) processes of the session, pty-host itself never among them. Linux only (proc(5)). */
export const sessionProcesses = (root: SessionRoot): ProcEntry[] => {
  const needle = Buffer.from(`${SESSION_MARK_VARIABLE}=${root.mark}`);
  const entries = readEntries();
  const leader = entries.find((entry) => entry.pid === root.pid);
  // While a session has members its leader's pid is not given away; a stranger under that pid means it has none.
  const isReused = leader !== undefined && leader.startTicks !== root.startTicks;
  const members = new Set<number>();
  for (const entry of entries) {
    const { pid, session, startTicks } = entry;
    const isKnown = root.known.get(pid) === startTicks;
    if (isKnown || (session === root.pid && !isReused) || carriesMark(entry, needle)) members.add(pid);
  }
  // Children of members belong to the session even when they cleaned their environment.
  for (let before = -1; before !== members.size; ) {
    before = members.size;
    for (const { pid, parent } of entries) if (members.has(parent)) members.add(pid);
  }
  const live = entries.filter(({ pid, state }) => members.has(pid) && state !== 'Z' && state !== 'X');
  root.known.clear();
  for (const { pid, startTicks } of live.slice(0, PTY_KNOWN_PIDS_MAX)) root.known.set(pid, startTicks);
  return live;
};

const send = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal);
  } catch {
    // ESRCH: it ended by itself, which is what we want; EPERM shows as a process that is left over.
  }
};

/** Looks until none is left; more often only where helpers start helpers. */
const HELPER_SCANS_MAX = 10;

/** Kills what a runner that is dead has started for itself: each in a group of its own, so that no group names them all. */
export const killHelpers = (mark: string): void => {
  const needle = Buffer.from(`${RUNNER_MARK_VARIABLE}=${mark}`);
  for (let scan = 0; scan < HELPER_SCANS_MAX; scan += 1) {
    // A zombie has no environment any more.
    const found = readEntries().filter((entry) => carriesMark(entry, needle));
    if (found.length === 0) return;
    for (const { pid } of found) send(pid, 'SIGKILL');
  }
};

const isStopped = ({ state }: ProcEntry): boolean => state === 'T' || state === 't';

/** Waits in the kernel: with a SIGSTOP sent it is stopped before it runs on, be it only because its child (vfork) is let go on. */
const isBusy = ({ state }: ProcEntry): boolean => state === 'D';

/** By their distance from the root: parents before their children. */
const generations = (members: readonly ProcEntry[]): ProcEntry[][] => {
  const parents = new Map(members.map(({ pid, parent }) => [pid, parent]));
  const depthOf = ({ pid }: ProcEntry): number => {
    let depth = 0;
    for (let at = parents.get(pid); at !== undefined && depth < members.length; at = parents.get(at)) depth += 1;
    return depth;
  };
  const byDepth = Map.groupBy(members, depthOf);
  return [...byDepth.keys()].sort((one, other) => one - other).map((depth) => byDepth.get(depth) ?? []);
};

/** Processes that are stopped already, by the person's Ctrl-Z: frozen with the others, they must not run on with them. */
export const stoppedBefore = (root: SessionRoot): ReadonlySet<number> =>
  new Set(sessionProcesses(root).flatMap((entry) => (isStopped(entry) ? [entry.pid] : [])));

/**
 * Stops every process of the session; looks again until no fork slipped through. Resolves with how many are stopped.
 * A generation is stopped for certain before its children are: a parent that runs, or still waits, while its child stops takes that for
 * the person's Ctrl-Z. A shell then puts its job into the background, and the program of the person never has the terminal again.
 */
export const freezeSession = async (root: SessionRoot, clock: Clock): Promise<number> => {
  const deadlineMs = clock.monotonicMs() + PTY_KILL_MAX_MS;
  const told = new Set<number>();
  const isHeld = (entry: ProcEntry): boolean => isStopped(entry) || (isBusy(entry) && told.has(entry.pid));
  const mayRun = (pid: number): boolean => {
    const entry = readEntry(pid);
    return entry !== undefined && !isHeld(entry) && entry.state !== 'Z' && entry.state !== 'X';
  };
  for (;;) {
    const members = sessionProcesses(root);
    const running = members.filter((entry) => !isHeld(entry));
    if (running.length === 0) return members.length;
    for (const generation of generations(running)) {
      for (const { pid } of generation) {
        send(pid, 'SIGSTOP');
        told.add(pid);
      }
      while (generation.some(({ pid }) => mayRun(pid))) {
        if (clock.monotonicMs() > deadlineMs) throw new Error(`${running.length} processes could not be stopped`);
        await sleep(clock, 1);
      }
    }
    if (clock.monotonicMs() > deadlineMs) throw new Error(`${running.length} processes could not be stopped`);
  }
};

const SIGCHLD = 17n;

/** Whether the process has yet to be told of a child: it will act on that later (proc(5): pending signals as a hexadecimal mask). */
const isToldOfChild = (pid: number): boolean => {
  try {
    const masks = readFileSync(`/proc/${pid}/status`, 'latin1').matchAll(/^(?:Sig|Shd)Pnd:\s*([0-9a-f]+)$/gm);
    return [...masks].some(([, mask]) => ((BigInt(`0x${mask}`) >> (SIGCHLD - 1n)) & 1n) === 1n);
  } catch {
    return false; // Ended meanwhile.
  }
};

const sendOn = (root: SessionRoot, stopped: ReadonlySet<number>, again?: Set<number>): void => {
  const members = sessionProcesses(root).filter((entry) => isStopped(entry) || isBusy(entry));
  const frozen = members.filter(({ pid }) => !stopped.has(pid) && again?.has(pid) !== true);
  for (const { pid, state } of generations(frozen).reverse().flat()) {
    send(pid, 'SIGCONT');
    if (state !== 'D') again?.add(pid);
  }
};

/** Lets every process of the session run on, but those of `stopped`: children first, so that no parent finds its child stopped. */
export const thawSession = (root: SessionRoot, stopped: ReadonlySet<number>): void => sendOn(root, stopped);

/**
 * For some time after a thaw: a program that stops itself because it was told of its child (script(1), su, sudo) is sent on once, also
 * where a busy machine gives it the time to do so only much later. Whatever stops a second time was stopped by somebody.
 */
export const settleSession = async (
  root: SessionRoot,
  clock: Clock,
  stopped: ReadonlySet<number>,
  isOver: () => boolean,
): Promise<void> => {
  const again = new Set<number>();
  const startedMs = clock.monotonicMs();
  let quietSinceMs = startedMs;
  while (clock.monotonicMs() < Math.min(quietSinceMs + PTY_THAW_SETTLE_MS, startedMs + PTY_THAW_SETTLE_MAX_MS)) {
    await sleep(clock, PTY_SCAN_INTERVAL_MS);
    if (isOver()) return;
    if (sessionProcesses(root).some(({ pid }) => isToldOfChild(pid))) quietSinceMs = clock.monotonicMs();
    sendOn(root, stopped, again);
  }
};

/**
 * Ends every process of the session: SIGTERM (and SIGCONT, so that a frozen one can obey), after `graceMs` SIGKILL,
 * until none is left. Resolves with the pids that outlived PTY_KILL_MAX_MS: normally none.
 */
export const killSession = async (root: SessionRoot, clock: Clock, graceMs = PTY_KILL_GRACE_MS): Promise<number[]> => {
  const startedMs = clock.monotonicMs();
  const asked = new Set<number>();
  for (;;) {
    const members = sessionProcesses(root);
    const elapsedMs = clock.monotonicMs() - startedMs;
    if (members.length === 0) return [];
    if (elapsedMs > PTY_KILL_MAX_MS) return members.map(({ pid }) => pid);
    for (const { pid } of members) {
      if (elapsedMs >= graceMs) send(pid, 'SIGKILL');
      else if (!asked.has(pid)) {
        asked.add(pid);
        send(pid, 'SIGTERM');
        // An interactive shell ignores SIGTERM; the end of its terminal it obeys.
        send(pid, 'SIGHUP');
        send(pid, 'SIGCONT');
      }
    }
    await sleep(clock, PTY_SCAN_INTERVAL_MS);
  }
};
