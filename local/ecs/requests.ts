/** Requests of the ECS calls we serve, as AWS JSON 1.1 carries them; unknown fields are kept out of the way, not refused. */
import { z } from 'zod';
import { CLIENT_TOKEN_MAX_CHARS, LIST_MAX_RESULTS, RUN_TASK_MAX_COUNT, STOP_TIMEOUT_MAX_SEC } from './ecs-limits.ts';

const Pair = z.looseObject({ name: z.string(), value: z.string() });
const Tags = z.array(z.looseObject({ key: z.string(), value: z.string().optional() })).max(50);
const cluster = z.string().max(255).optional();
const page = {
  maxResults: z.int().min(1).max(LIST_MAX_RESULTS).default(LIST_MAX_RESULTS),
  nextToken: z.string().max(200).optional(),
};

export const ContainerDefinition = z.looseObject({
  name: z.string().min(1).max(255),
  image: z.string().optional(),
  essential: z.boolean().default(true),
  environment: z.array(Pair).default([]),
  stopTimeout: z.int().min(0).max(STOP_TIMEOUT_MAX_SEC).optional(),
});

export const RegisterTaskDefinition = z.looseObject({
  family: z.string().regex(/^[A-Za-z0-9_-]{1,255}$/),
  containerDefinitions: z.array(ContainerDefinition).min(1).max(10),
  tags: Tags.optional(),
});
export type RegisterTaskDefinition = z.infer<typeof RegisterTaskDefinition>;

/** Of DescribeTaskDefinition and DeregisterTaskDefinition. */
export const NamedTaskDefinition = z.looseObject({ taskDefinition: z.string().min(1) });

export const ListTaskDefinitions = z.looseObject({
  familyPrefix: z.string().optional(),
  status: z.enum(['ACTIVE', 'INACTIVE', 'DELETE_IN_PROGRESS']).default('ACTIVE'),
  sort: z.enum(['ASC', 'DESC']).default('ASC'),
  ...page,
});

export const TaskOverride = z.looseObject({
  containerOverrides: z
    .array(z.looseObject({ name: z.string(), environment: z.array(Pair).optional() }))
    .max(10)
    .optional(),
});
export type TaskOverride = z.infer<typeof TaskOverride>;

export const RunTask = z.looseObject({
  cluster,
  taskDefinition: z.string().min(1),
  count: z.int().min(1).max(RUN_TASK_MAX_COUNT).default(1),
  clientToken: z
    .string()
    .max(CLIENT_TOKEN_MAX_CHARS)
    .regex(/^[\x21-\x7e]*$/)
    .optional(),
  overrides: TaskOverride.optional(),
  startedBy: z.string().max(128).optional(),
  group: z.string().max(255).optional(),
  launchType: z.enum(['EC2', 'FARGATE', 'EXTERNAL', 'MANAGED_INSTANCES']).optional(),
  tags: Tags.optional(),
});
export type RunTask = z.infer<typeof RunTask>;

export const StopTask = z.looseObject({
  cluster,
  task: z.string().min(1),
  reason: z.string().max(1_024).optional(),
});
export const DescribeTasks = z.looseObject({ cluster, tasks: z.array(z.string()).min(1).max(LIST_MAX_RESULTS) });
export const ListTasks = z.looseObject({
  cluster,
  family: z.string().optional(),
  startedBy: z.string().optional(),
  desiredStatus: z.enum(['RUNNING', 'PENDING', 'STOPPED']).default('RUNNING'),
  ...page,
});
