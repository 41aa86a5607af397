/** ECS behind the TaskLauncher port. */
import {
  ClientException,
  DescribeTasksCommand,
  type ECSClient,
  InvalidParameterException,
  RunTaskCommand,
  StopTaskCommand,
} from '@aws-sdk/client-ecs';
import { TASK_OVERRIDES_MAX_CHARS } from '../../shared/limits.ts';
import type { LaunchResult, TaskLauncher, TaskStatus } from '../sessions/ports.ts';

export interface EcsOptions {
  readonly client: ECSClient;
  readonly cluster: string;
  readonly container: string;
  readonly subnets: readonly string[];
  readonly securityGroups: readonly string[];
}

const refused = (reason: string): LaunchResult => ({ kind: 'refused', reason });

export const ecsTaskLauncher = ({ client, cluster, container, subnets, securityGroups }: EcsOptions): TaskLauncher => ({
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
      );
    } catch (error) {
      if (error instanceof InvalidParameterException || error instanceof ClientException) return refused(error.message);
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
