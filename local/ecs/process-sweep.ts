/** Finds what a task left running, as the end of a container would have: its process group, and whoever carries its mark. */
import { readdirSync, readFileSync } from 'node:fs';

/** In the environment of every process of a task, so that helpers in groups of their own are found too. */
export const TASK_MARK_VARIABLE = 'VILLAGE_TASK_ID';

const signal = (pid: number, name: NodeJS.Signals): boolean => {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false; // ESRCH: it is gone, which is what we want.
  }
};

/** Kills the whole group of `leaderPid` (negative pids name groups). */
export const killGroup = (leaderPid: number): boolean => signal(-leaderPid, 'SIGKILL');

const carriesMark = (pid: number, needle: Buffer): boolean => {
  try {
    return readFileSync(`/proc/${pid}/environ`).includes(needle);
  } catch {
    return false; // Ended meanwhile, or of another user: not one of ours.
  }
};

/** Kills every process whose environment carries the task's mark; a no-op without /proc. Returns how many. */
export const killMarked = (taskId: string): number => {
  const needle = Buffer.from(`${TASK_MARK_VARIABLE}=${taskId}\0`);
  let pids: number[];
  try {
    pids = readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && pid !== process.pid);
  } catch {
    return 0; // No procfs on this system: the group kill has to do.
  }
  return pids.filter((pid) => carriesMark(pid, needle) && signal(pid, 'SIGKILL')).length;
};
