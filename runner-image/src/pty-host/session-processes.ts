/**
 * Finds, freezes and kills every process of a session. A program may daemonise itself (setsid, double fork), so neither
 * the process tree nor the session id alone is enough: each spawn carries a random mark in its environment too.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { type Clock, sleep } from '../../../shared/clock.ts';
import {
  PTY_KILL_GRACE_MS,
  PTY_KILL_MAX_MS,
  PTY_SCAN_INTERVAL_MS,
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
}

interface ProcEntry {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  /** One letter as in proc(5): T is stopped, Z a zombie. */
  readonly state: string;
  readonly startTicks: number;
}

const readEntry = (pid: number): ProcEntry | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold spaces and parentheses itself: fields count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [parent, session, startTicks] = [Number(fields[1]), Number(fields[3]), Number(fields[19])];
    return { pid, state: fields[0] ?? '', parent, session, startTicks };
  } catch {
    return undefined; // The process ended between the listing and the read.
  }
};

const carriesMark = (pid: number, needle: Buffer): boolean => {
  try {
    return readFileSync(`/proc/${pid}/environ`).includes(needle);
  } catch {
    return false; // Ended meanwhile, or of a foreign user: not one of ours.
  }
};

/** The root of a program that was just started; to be called before its pid can be reused. */
export const sessionRoot = (mark: string, pid: number): SessionRoot => ({
  mark,
  pid,
  startTicks: readEntry(pid)?.startTicks,
});

/** Live (not zombie) processes of the session, pty-host itself never among them. Linux only (proc(5)). */
export const sessionProcesses = (root: SessionRoot): ProcEntry[] => {
  const needle = Buffer.from(`${SESSION_MARK_VARIABLE}=${root.mark}`);
  const entries = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readEntry(Number(name)) ?? [])
    .filter((entry) => entry.pid !== process.pid);
  const leader = entries.find((entry) => entry.pid === root.pid);
  // While a session has members its leader's pid is not given away; a stranger under that pid means it has none.
  const isReused = leader !== undefined && leader.startTicks !== root.startTicks;
  const members = new Set<number>();
  for (const { pid, session } of entries)
    if ((session === root.pid && !isReused) || carriesMark(pid, needle)) members.add(pid);
  // Children of members belong to the session even when they cleaned their environment.
  for (let before = -1; before !== members.size; ) {
    before = members.size;
    for (const { pid, parent } of entries) if (members.has(parent)) members.add(pid);
  }
  return entries.filter(({ pid, state }) => members.has(pid) && state !== 'Z' && state !== 'X');
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
    const pids = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      // A zombie has no environment any more.
      .filter((pid) => pid !== process.pid && carriesMark(pid, needle));
    if (pids.length === 0) return;
    for (const pid of pids) send(pid, 'SIGKILL');
  }
};

const isStopped = ({ state }: ProcEntry): boolean => state === 'T' || state === 't';

/**
 * Parents before their children. A parent that runs while its child is stopped takes it for the person's Ctrl-Z: a shell puts its job
 * into the background, and the program of the person never has the terminal again.
 */
const parentsFirst = (members: readonly ProcEntry[]): ProcEntry[] => {
  const parents = new Map(members.map(({ pid, parent }) => [pid, parent]));
  const depthOf = ({ pid }: ProcEntry): number => {
    let depth = 0;
    for (let at = parents.get(pid); at !== undefined && depth < members.length; at = parents.get(at)) depth += 1;
    return depth;
  };
  return members
    .map((entry) => ({ entry, depth: depthOf(entry) }))
    .sort((one, other) => one.depth - other.depth)
    .map(({ entry }) => entry);
};

/** Processes that are stopped already, by the person's Ctrl-Z: frozen with the others, they must not run on with them. */
export const stoppedBefore = (root: SessionRoot): ReadonlySet<number> =>
  new Set(sessionProcesses(root).flatMap((entry) => (isStopped(entry) ? [entry.pid] : [])));

/** Stops every process of the session; looks again until no fork slipped through. Resolves with how many are stopped. */
export const freezeSession = async (root: SessionRoot, clock: Clock): Promise<number> => {
  const deadlineMs = clock.monotonicMs() + PTY_KILL_MAX_MS;
  for (;;) {
    const members = sessionProcesses(root);
    const running = members.filter((entry) => !isStopped(entry));
    if (running.length === 0) return members.length;
    if (clock.monotonicMs() > deadlineMs) throw new Error(`${running.length} processes could not be stopped`);
    for (const { pid } of parentsFirst(running)) send(pid, 'SIGSTOP');
    await sleep(clock, 1);
  }
};

/**
 * Lets every process of the session run on, but those of `stopped`: children first, so that no parent finds its child stopped. A program
 * that stops itself because it was told of its child (script(1), su, sudo) is sent on once more.
 */
export const thawSession = async (
  root: SessionRoot,
  clock: Clock,
  stopped: ReadonlySet<number>,
  isFrozenAgain: () => boolean,
): Promise<void> => {
  const frozen = (): ProcEntry[] =>
    parentsFirst(sessionProcesses(root).filter((entry) => isStopped(entry) && !stopped.has(entry.pid))).reverse();
  for (const { pid } of frozen()) send(pid, 'SIGCONT');
  const again = new Set<number>();
  const deadlineMs = clock.monotonicMs() + PTY_THAW_SETTLE_MS;
  while (clock.monotonicMs() < deadlineMs) {
    await sleep(clock, PTY_SCAN_INTERVAL_MS);
    if (isFrozenAgain()) return;
    // Once each: whatever stops a second time was stopped by somebody.
    for (const { pid } of frozen()) {
      if (again.has(pid)) continue;
      again.add(pid);
      send(pid, 'SIGCONT');
    }
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
