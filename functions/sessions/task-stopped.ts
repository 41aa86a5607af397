/** ECS says that a task stopped. It counts only for the (session, epoch, task) it names; repeated and late facts change nothing. */
import { z } from 'zod';
import { warmTaskStopped } from '../runners/warm-store.ts';
import type { AppendPorts } from '../streams/append-events.ts';
import { closeEpoch } from './close-epoch.ts';
import { causeOfStop } from './decide-closing.ts';
import { taskArnOf } from './session-store.ts';
import { parseTaskOwner } from './task-owner.ts';

/** What is read of the event; overrides are dropped here, they carry the start token. */
export const TaskStateChange = z.object({
  detail: z.object({
    taskArn: z.string(),
    lastStatus: z.string(),
    startedBy: z.string().optional(),
    stopCode: z.string().optional(),
    stoppedReason: z.string().optional(),
    version: z.number(),
    containers: z.array(z.object({ exitCode: z.number().optional(), reason: z.string().optional() })).default([]),
  }),
});
export type TaskStateChange = z.infer<typeof TaskStateChange>;

export const taskStateChanged = async (
  ports: AppendPorts,
  { detail }: TaskStateChange,
): Promise<'closed' | 'ignored'> => {
  if (detail.lastStatus !== 'STOPPED') return 'ignored';
  const owner = parseTaskOwner(detail.startedBy) ?? (await warmTaskStopped(ports.db, detail.startedBy));
  if (owner === null) return 'ignored';
  const { epoch, ...ref } = owner;
  const record = await ports.sessions.record(ref);
  if (record === null || record.head.epoch !== epoch) return 'ignored';
  /** Before the placement is written the task's own mark is enough: one token launches one task. */
  const known = taskArnOf(record.meta);
  const isAnother = known === null ? record.meta.placement !== null : known !== detail.taskArn;
  if (isAnother) return 'ignored';
  const exitCode = detail.containers[0]?.exitCode;
  const why = [detail.stoppedReason, exitCode === undefined ? undefined : `exit code ${exitCode}`]
    .filter((part) => part !== undefined)
    .join(', ');
  const closed = await closeEpoch(ports, ref, {
    epoch,
    asRead: null,
    cause: causeOfStop(detail.stopCode),
    reason: {
      code: 'runner_lost',
      message: `The runner's task stopped before the session ended (${why || 'no reason given'}).`,
      hint: 'Start the session again.',
    },
  });
  return closed ? 'closed' : 'ignored';
};
