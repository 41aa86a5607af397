/** What a RunTask request and its definition make: the task, its environment, or a refusal as ECS words it. */
import { TASK_OVERRIDES_MAX_CHARS } from '../../shared/limits.ts';
import type { TaskDefinition } from './definitions.ts';
import { EcsError } from './ecs-error.ts';
import { STOP_TIMEOUT_DEFAULT_SEC } from './ecs-limits.ts';
import type { RunTask } from './requests.ts';
import type { Task } from './task.ts';

/** Throws InvalidParameterException for overrides that ECS would not take, ClientException for an inactive definition. */
export const refuseBadRun = (request: RunTask, definition: TaskDefinition): void => {
  const names = definition.containerDefinitions.map(({ name }) => name);
  for (const { name } of request.overrides?.containerOverrides ?? [])
    if (!names.includes(name))
      throw new EcsError(
        'InvalidParameterException',
        `Override for container named ${name} is not a container in the TaskDefinition.`,
      );
  if (JSON.stringify(request.overrides ?? {}).length > TASK_OVERRIDES_MAX_CHARS)
    throw new EcsError(
      'InvalidParameterException',
      `Container Overrides length must be at most ${TASK_OVERRIDES_MAX_CHARS}`,
    );
  if (definition.status !== 'ACTIVE') throw new EcsError('ClientException', 'TaskDefinition is inactive');
};

/** Environment of the task's container: the definition's, then the overrides. */
export const environmentOf = (definition: TaskDefinition, task: Task): Record<string, string> => {
  const container = definition.containerDefinitions.find(({ name }) => name === task.container);
  const override = task.overrides.containerOverrides?.find(({ name }) => name === task.container);
  const pairs = [...(container?.environment ?? []), ...(override?.environment ?? [])];
  return Object.fromEntries(pairs.map(({ name, value }) => [name, value]));
};

export const imageOf = (definition: TaskDefinition, task: Task): string | undefined =>
  definition.containerDefinitions.find(({ name }) => name === task.container)?.image;

export interface TaskPlace {
  /** `arn:aws:ecs:<region>:<account>` */
  readonly arnPrefix: string;
  readonly cluster: string;
}

export const newTask = (
  request: RunTask,
  definition: TaskDefinition,
  { arnPrefix, cluster }: TaskPlace,
  id: string,
  nowMs: number,
): Task => {
  const [container] = definition.containerDefinitions;
  if (container === undefined) throw new Error('a task definition has a container');
  return {
    taskArn: `${arnPrefix}:task/${cluster}/${id}`,
    clusterArn: `${arnPrefix}:cluster/${cluster}`,
    taskDefinitionArn: definition.taskDefinitionArn,
    family: definition.family,
    container: container.name,
    stopTimeoutSec: container.stopTimeout ?? STOP_TIMEOUT_DEFAULT_SEC,
    overrides: request.overrides ?? {},
    ...(request.startedBy === undefined ? {} : { startedBy: request.startedBy }),
    group: request.group ?? `family:${definition.family}`,
    launchType: request.launchType ?? 'FARGATE',
    lastStatus: 'PROVISIONING',
    desiredStatus: 'RUNNING',
    version: 0,
    createdAtMs: nowMs,
  };
};
