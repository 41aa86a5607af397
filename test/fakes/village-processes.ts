/** Finds the processes of a village by the folder they carry in command line, environment or working directory. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface FoundProcess {
  readonly pid: number;
  /** Arguments, joined by blanks. */
  readonly command: string;
}

const read = (path: string): string => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // It ended while we looked.
  }
};
const workingDir = (pid: number): string => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return ''; // It ended while we looked.
  }
};

/** Live processes (no zombies) that carry `folder`; this one is left out. */
export const processesAt = (folder: string): FoundProcess[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .flatMap((pid) => {
      const command = read(`/proc/${pid}/cmdline`);
      const carries =
        command.includes(folder) || workingDir(pid).startsWith(folder) || read(`/proc/${pid}/environ`).includes(folder);
      if (!carries || command === '' || /^State:\s+[ZX]/m.test(read(`/proc/${pid}/status`))) return [];
      return [{ pid, command: command.replaceAll('\0', ' ').trim() }];
    });

/** Proportional set size of a process in KiB: shared pages are counted once over all who share them. 0 when it ended. */
export const pssKib = (pid: number): number =>
  Number(/^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
