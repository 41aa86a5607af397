/** Memory of a process and of everything below it, as the kernel counts it. */
import { readdirSync, readFileSync } from 'node:fs';

const PAGE_BYTES = 4_096;

interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Its program, as far as it tells one from another. */
  readonly name: string;
  readonly rssBytes: number;
}

const nameOf = (program: string): string => program.split('/').slice(-2).join('/');

const processes = (): Process[] =>
  readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      const program = words.find((word) => /(local|pty-host|src)\/main\.ts$|dynoxide/.test(word)) ?? words[0] ?? '';
      const [, residentPages] = readFileSync(`/proc/${name}/statm`, 'utf8').split(' ');
      return [
        {
          pid: Number(name),
          parent: Number(parent),
          name: nameOf(program),
          rssBytes: Number(residentPages) * PAGE_BYTES,
        },
      ];
    } catch {
      // Ended while we looked.
      return [];
    }
  });

/** Resident bytes of the process and its descendants by program; pages that they share count more than once. */
export const rssBytesBelow = (rootPid: number): ReadonlyMap<string, number> => {
  const all = processes();
  const sums = new Map<string, number>();
  const add = (entry: Process): void => {
    sums.set(entry.name, (sums.get(entry.name) ?? 0) + entry.rssBytes);
    for (const child of all) if (child.parent === entry.pid) add(child);
  };
  for (const entry of all) if (entry.pid === rootPid) add(entry);
  return sums;
};
