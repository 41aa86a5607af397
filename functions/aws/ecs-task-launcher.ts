/** ECS behind the TaskLauncher port. */
import {
  ClientException,
  DescribeTasksCommand,
  type ECSClient,
  InvalidParameterException,
  ListTasksCommand,
  RunTaskCommand,
  StopTaskCommand,
} from '@aws-sdk/client-ecs';
import { RECONCILE_PAGE_TASKS, TASK_OVERRIDES_MAX_CHARS } from '../../shared/limits.ts';
import type { LaunchResult, TaskLauncher, TaskLister, TaskStatus } from '../sessions/ports.ts';

export interface EcsOptions {
  readonly client: ECSClient;
  readonly cluster: string;
  readonly container: string;
  readonly subnets: readonly string[];
  readonly securityGroups: readonly string[];
}

/** ECS says both "not like this" and "not now" as exceptions of the caller: these words mean the second, which passes. */
const PASSES = /capacity|limit|concurrent|throttl|rate exceeded|try again|later|unavailable/i;
const refused = (reason: string, isPermanent: boolean): LaunchResult => ({ kind: 'refused', reason, isPermanent });

export const ecsTaskLauncher = ({
  client,
  cluster,
  container,
  subnets,
  securityGroups,
}: EcsOptions): TaskLauncher & TaskLister => ({
  launch: async ({ clientToken, startedBy, taskDefinition, environment }) => {
    const overrides = {
      containerOverrides: [
        { name: container, environment: Object.entries(environment).map(([name, value]) => ({ name, value })) },
      ],
    };
    if (JSON.stringify(overrides).length > TASK_OVERRIDES_MAX_CHARS)
      throw new Error('task overrides exceed what ECS takes');
    try {
      const { tasks, failures } = await client.send(
        new RunTaskCommand({
          cluster,
          clientToken,
          startedBy,
          taskDefinition,
          launchType: 'FARGATE',
          count: 1,
          networkConfiguration: {
            awsvpcConfiguration: {
              subnets: [...subnets],
              securityGroups: [...securityGroups],
              assignPublicIp: 'ENABLED',
            },
          },
          overrides,
        }),
      );
      /** A 200 answer may carry failures only. */
      const taskArn = tasks?.[0]?.taskArn;
      if (taskArn !== undefined) return { kind: 'launched', taskArn };
      return refused(
        failures?.map(({ reason, detail }) => [reason, detail].filter(Boolean).join(': ')).join('; ') ||
          'ECS named no task',
        false,
      );
    } catch (error) {
      if (error instanceof InvalidParameterException || error instanceof ClientException)
        return refused(error.message, !PASSES.test(error.message));
      throw error;
    }
  },
  status: async (taskArn): Promise<TaskStatus> => {
    const { tasks } = await client.send(new DescribeTasksCommand({ cluster, tasks: [taskArn] }));
    const task = tasks?.[0];
    /** Stopped tasks are surely visible for one hour only: one that is not known any more has stopped. */
    if (task === undefined) return { kind: 'stopped', why: 'the task is not known any more', exitCode: null };
    if (task.lastStatus !== 'STOPPED') return { kind: 'live' };
    return {
      kind: 'stopped',
      why: task.stoppedReason ?? 'no reason given',
      exitCode: task.containers?.[0]?.exitCode ?? null,
      stopCode: task.stopCode ?? null,
    };
  },
  listRunning: async (cursor) => {
    const { taskArns = [], nextToken } = await client.send(
      new ListTasksCommand({
        cluster,
        desiredStatus: 'RUNNING',
        maxResults: RECONCILE_PAGE_TASKS,
        ...(cursor === null ? {} : { nextToken: cursor }),
      }),
    );
    const { tasks = [] } =
      taskArns.length === 0 ? {} : await client.send(new DescribeTasksCommand({ cluster, tasks: taskArns }));
    return {
      /** Stopped since it was listed: nothing is left to stop. */
      tasks: tasks.flatMap(({ taskArn, startedBy, desiredStatus }) =>
        taskArn === undefined || desiredStatus === 'STOPPED' ? [] : [{ taskArn, startedBy }],
      ),
      cursor: nextToken ?? null,
    };
  },
  stop: async (taskArn, reason) => {
    try {
      await client.send(new StopTaskCommand({ cluster, task: taskArn, reason }));
    } catch (error) {
      /** Not found: it is gone, which is what was asked. */
      if (!(error instanceof InvalidParameterException)) throw error;
    }
  },
});
