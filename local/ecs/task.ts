/** A task as ECS describes it, and the event it becomes at each change of state. */
import { z } from 'zod';
import { type EventBridgeEvent, eventBridgeEvent } from '../events/event-shape.ts';
import { TaskOverride } from './requests.ts';

export const TASK_STATUSES = ['PROVISIONING', 'PENDING', 'RUNNING', 'STOPPING', 'STOPPED'] as const;

export const StopCode = z.enum(['TaskFailedToStart', 'EssentialContainerExited', 'UserInitiated', 'TerminationNotice']);
export type StopCode = z.infer<typeof StopCode>;

/** Times in milliseconds since 1970; the wire has seconds, events have ISO 8601. */
export const Task = z.object({
  taskArn: z.string(),
  clusterArn: z.string(),
  taskDefinitionArn: z.string(),
  family: z.string(),
  container: z.string(),
  stopTimeoutSec: z.number(),
  overrides: TaskOverride,
  startedBy: z.string().optional(),
  group: z.string(),
  launchType: z.string(),
  lastStatus: z.enum(TASK_STATUSES),
  desiredStatus: z.enum(['RUNNING', 'STOPPED']),
  /** Rises with every change: events come unordered, so a reader compares it. */
  version: z.int(),
  createdAtMs: z.number(),
  startedAtMs: z.number().optional(),
  stoppingAtMs: z.number().optional(),
  stoppedAtMs: z.number().optional(),
  stopCode: StopCode.optional(),
  stoppedReason: z.string().optional(),
  exitCode: z.int().optional(),
});
export type Task = z.infer<typeof Task>;

export const taskId = (task: { taskArn: string }): string => task.taskArn.slice(task.taskArn.lastIndexOf('/') + 1);

const describe = <T>(task: Task, time: (ms: number) => T) => {
  const at = (name: string, ms: number | undefined) => (ms === undefined ? {} : { [name]: time(ms) });
  return {
    taskArn: task.taskArn,
    clusterArn: task.clusterArn,
    taskDefinitionArn: task.taskDefinitionArn,
    containers: [
      {
        containerArn: task.taskArn.replace(':task/', ':container/'),
        taskArn: task.taskArn,
        name: task.container,
        lastStatus: task.lastStatus === 'RUNNING' || task.lastStatus === 'STOPPED' ? task.lastStatus : 'PENDING',
        ...(task.exitCode === undefined ? {} : { exitCode: task.exitCode }),
      },
    ],
    overrides: task.overrides,
    ...(task.startedBy === undefined ? {} : { startedBy: task.startedBy }),
    group: task.group,
    launchType: task.launchType,
    lastStatus: task.lastStatus,
    desiredStatus: task.desiredStatus,
    version: task.version,
    ...at('createdAt', task.createdAtMs),
    ...at('startedAt', task.startedAtMs),
    ...at('stoppingAt', task.stoppingAtMs),
    ...at('stoppedAt', task.stoppedAtMs),
    ...(task.stopCode === undefined ? {} : { stopCode: task.stopCode }),
    ...(task.stoppedReason === undefined ? {} : { stoppedReason: task.stoppedReason }),
  };
};

/** As RunTask, StopTask and DescribeTasks answer it. */
export const taskOnTheWire = (task: Task) => describe(task, (ms) => ms / 1_000);

/** `detail` is the task as DescribeTasks says it, with times as ISO 8601. */
export type TaskEvent = EventBridgeEvent<Readonly<Record<string, unknown>>>;

const isoTime = (ms: number): string => new Date(ms).toISOString();

/** The `ECS Task State Change` event; overrides are in it, as on AWS. `arn:aws:ecs:<region>:<account>:…` names region and account. */
export const taskEvent = (task: Task, id: string, nowMs: number): TaskEvent => {
  const [, , , region = '', account = ''] = task.taskArn.split(':');
  return eventBridgeEvent({
    id,
    source: 'aws.ecs',
    detailType: 'ECS Task State Change',
    account,
    region,
    atMs: nowMs,
    resources: [task.taskArn],
    detail: { ...describe(task, isoTime), updatedAt: isoTime(nowMs) },
  });
};
