/** Memory of a village that does nothing, all its processes together, and how long it took to be ready. */
import { setTimeout as delay } from 'node:timers/promises';
import { processesAt, pssKib } from '../fakes/village-processes.ts';
import { startVillage, summarise } from './harness.ts';

const SETTLE_MS = 3_000;
const SAMPLE_EVERY_MS = 500;
const KIB_PER_MB = 1024;

/** Name a person would give the process, from its command line. */
const nameOf = (command: string): string => (/dynoxide/.test(command) ? 'database' : 'village');

export const idle = async (n: number) => {
  const village = await startVillage();
  try {
    await delay(SETTLE_MS);
    const totals: number[] = [];
    let parts: Record<string, number> = {};
    for (let sample = 0; sample < n; sample += 1) {
      // The folder stands in the command line of each of them; what is shared between them is counted once (PSS).
      const found = processesAt(village.dir);
      parts = Object.fromEntries(
        found.map(({ pid, command }) => [nameOf(command), Math.round(pssKib(pid) / KIB_PER_MB)]),
      );
      totals.push(found.reduce((sum, { pid }) => sum + pssKib(pid), 0) / KIB_PER_MB);
      await delay(SAMPLE_EVERY_MS);
    }
    return { unit: 'MB', idle: summarise(totals), aim: 400, parts, villageReadyMs: Math.round(village.readyMs) };
  } finally {
    await village.close();
  }
};
