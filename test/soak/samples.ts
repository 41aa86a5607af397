/** Memory and open files of a village's processes by what they are, sampled while it works, and whether they grow. */
import { readdirSync } from 'node:fs';
import type { TestVillage } from '../fakes/village.ts';
import { pssKib } from '../fakes/village-processes.ts';

const KIB_PER_MB = 1_024;
const MS_PER_HOUR = 3_600_000;
export const PARTS = ['village', 'database', 'runner', 'ptyHost', 'other'] as const;
type Part = (typeof PARTS)[number];

export interface PartSample {
  readonly processes: number;
  /** Proportional: pages that several processes share, their code above all, are counted once. */
  readonly mb: number;
  readonly files: number;
}
export interface Sample {
  readonly atMs: number;
  readonly parts: Readonly<Record<Part, PartSample>>;
}

const partOf = (command: string): Part => {
  if (command.includes('local/start.mjs')) return 'village';
  if (/dynoxide serve/.test(command)) return 'database';
  if (command.includes('runner-image/src/main.ts')) return 'runner';
  return command.includes('pty-host/main.ts') ? 'ptyHost' : 'other';
};
const filesOf = (pid: number): number => {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0; // It ended while we looked.
  }
};

export const sampleOf = (village: TestVillage, atMs: number): Sample => {
  const sums = Object.fromEntries(PARTS.map((part) => [part, { processes: 0, mb: 0, files: 0 }])) as Record<
    Part,
    { processes: number; mb: number; files: number }
  >;
  for (const { pid, command } of village.processes()) {
    const sum = sums[partOf(command)];
    sum.processes += 1;
    sum.mb += pssKib(pid) / KIB_PER_MB;
    sum.files += filesOf(pid);
  }
  return { atMs, parts: sums };
};

const rounded = (value: number): number => Math.round(value * 100) / 100;
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

export interface Growth {
  readonly firstMb: number;
  readonly lastMb: number;
  readonly mbPerHour: number;
  readonly firstFiles: number;
  readonly lastFiles: number;
}

/** Second quarter against the last: the first one is warm-up. */
export const growthOf = (samples: readonly Sample[], part: Part): Growth => {
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  const [first, last] = [samples.slice(quarter, 2 * quarter), samples.slice(-quarter)];
  const of = (some: readonly Sample[], name: 'mb' | 'files') => mean(some.map(({ parts }) => parts[part][name]));
  const hours = (mean(last.map(({ atMs }) => atMs)) - mean(first.map(({ atMs }) => atMs))) / MS_PER_HOUR;
  const [firstMb, lastMb] = [of(first, 'mb'), of(last, 'mb')];
  return {
    firstMb: rounded(firstMb),
    lastMb: rounded(lastMb),
    mbPerHour: hours > 0 ? rounded((lastMb - firstMb) / hours) : 0,
    firstFiles: rounded(of(first, 'files')),
    lastFiles: rounded(of(last, 'files')),
  };
};

/** What each session costs more, in the part of the platform that carries it. */
export const perSession = (idle: Sample, busy: Sample, sessions: number, part: Part): number =>
  rounded((busy.parts[part].mb - idle.parts[part].mb) / sessions);
