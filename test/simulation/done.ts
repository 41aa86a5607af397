/** What happened beside what went wrong: a promise about something that never happens is not tested. */
import type { World } from './world.ts';

export const DONE_KINDS = ['on_task', 'on_group', 'on_warm', 'queued', 'registered', 'drained', 'revoked'] as const;
export type Done = Record<(typeof DONE_KINDS)[number], number>;

export const doneIn = ({ watch, machines }: World): Done => {
  const { placed, queued } = watch.counts;
  return { on_task: placed.task, on_group: placed.group, on_warm: placed.warm, queued, ...machines.counts };
};

export const addDone = (parts: readonly Done[]): Done =>
  Object.fromEntries(DONE_KINDS.map((kind) => [kind, parts.reduce((sum, part) => sum + part[kind], 0)])) as Done;

export const doneLine = (done: Done): string => DONE_KINDS.map((kind) => `${kind} ${done[kind]}`).join(', ');
