/** The ECS of one machine: the JSON 1.1 calls of the SDK on loopback, so that handlers need not know where they run. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { z } from 'zod';
import { type Clock, type Random, systemClock, systemRandom } from '../../shared/clock.ts';
import { closeServer, listenOnLoopback } from '../loopback-server.ts';
import { type Definitions, openDefinitions } from './definitions.ts';
import { EcsError } from './ecs-error.ts';
import { ECS_REQUEST_MAX_BYTES } from './ecs-limits.ts';
import { page } from './paging.ts';
import type { TaskLauncher } from './process-launcher.ts';
import * as requests from './requests.ts';
import { type CallerIdentity, requireSignature } from './signature.ts';
import { type TaskEvent, taskOnTheWire } from './task.ts';
import { Tasks } from './tasks.ts';

const TARGET_PREFIX = 'AmazonEC2ContainerServiceV20141113.';

export interface EcsOptions {
  /** Definitions and tasks are kept here. */
  readonly dir: string;
  readonly region: string;
  /** Calls must be signed with these. */
  readonly credentials: Omit<CallerIdentity, 'region'>;
  readonly account?: string;
  readonly cluster: string;
  readonly launcher: TaskLauncher;
  /** Gets every `ECS Task State Change` event once; repeats and disorder are the event bus's part. */
  readonly emit: (event: TaskEvent) => void;
  /** May answer a call with an error before it is served (`ThrottlingException`…); chaos and tests. */
  readonly refuse?: (operation: string) => EcsError | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly maxLiveTasks?: number;
  readonly port?: number;
  readonly warn?: (message: string) => void;
}
export interface RunningEcs {
  readonly endpoint: string;
  readonly tasks: Pick<Tasks, 'all'>;
  /** Kills every task, then closes. */
  /** Ends the tasks in order while everything they talk to still runs; see Tasks.drain. */
  drain(maxMs: number): Promise<{ ended: number; left: number }>;
  stop(): Promise<void>;
}

interface Context {
  readonly definitions: Definitions;
  readonly tasks: Tasks;
  readonly cluster: string;
}

const parse = <S extends z.ZodType>(schema: S, body: unknown): z.infer<S> => {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw new EcsError('InvalidParameterException', z.prettifyError(result.error));
};
const requireCluster = (context: Context, cluster: string | undefined): void => {
  const name = (cluster ?? 'default').split('/').at(-1);
  if (name !== context.cluster) throw new EcsError('ClusterNotFoundException', 'Cluster not found.');
};

const describeTasks = (context: Context, body: unknown) => {
  const { cluster, tasks } = parse(requests.DescribeTasks, body);
  requireCluster(context, cluster);
  const found = tasks.map((name) => ({ name, task: context.tasks.find(name) }));
  return {
    tasks: found.flatMap(({ task }) => (task === undefined ? [] : [taskOnTheWire(task)])),
    failures: found.flatMap(({ name, task }) => (task === undefined ? [{ arn: name, reason: 'MISSING' }] : [])),
  };
};
const listTasks = (context: Context, body: unknown) => {
  const request = parse(requests.ListTasks, body);
  requireCluster(context, request.cluster);
  const matching = context.tasks
    .all()
    .filter((task) => task.desiredStatus === request.desiredStatus)
    .filter((task) => request.family === undefined || task.family === request.family)
    .filter((task) => request.startedBy === undefined || task.startedBy === request.startedBy)
    .map((task) => task.taskArn);
  const { items, nextToken } = page(matching, request);
  return { taskArns: items, ...(nextToken === undefined ? {} : { nextToken }) };
};

const OPERATIONS: Readonly<Record<string, (context: Context, body: unknown) => unknown>> = {
  RegisterTaskDefinition: async ({ definitions }, body) => ({
    taskDefinition: await definitions.register(parse(requests.RegisterTaskDefinition, body)),
  }),
  DescribeTaskDefinition: ({ definitions }, body) => ({
    taskDefinition: definitions.find(parse(requests.NamedTaskDefinition, body).taskDefinition),
  }),
  ListTaskDefinitions: ({ definitions }, body) => definitions.list(parse(requests.ListTaskDefinitions, body)),
  DeregisterTaskDefinition: async ({ definitions }, body) => ({
    taskDefinition: await definitions.deregister(parse(requests.NamedTaskDefinition, body).taskDefinition),
  }),
  async RunTask(context, body) {
    const request = parse(requests.RunTask, body);
    requireCluster(context, request.cluster);
    const { tasks, failures } = await context.tasks.run(request, context.definitions.find(request.taskDefinition));
    return { tasks: tasks.map(taskOnTheWire), failures };
  },
  async StopTask(context, body) {
    const { cluster, task, reason } = parse(requests.StopTask, body);
    requireCluster(context, cluster);
    const found = context.tasks.find(task);
    if (found === undefined) throw new EcsError('InvalidParameterException', 'The referenced task was not found.');
    return { task: taskOnTheWire(await context.tasks.stop(found, reason ?? 'Task stopped by user')) };
  },
  DescribeTasks: describeTasks,
  ListTasks: listTasks,
};

const readBody = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > ECS_REQUEST_MAX_BYTES) throw new EcsError('ClientException', 'The request is too large.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

const parseJson = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString('utf8') || '{}');
  } catch {
    throw new EcsError('SerializationException', 'The request body is not JSON.');
  }
};

const answer = async (context: Context, options: EcsOptions, request: IncomingMessage): Promise<unknown> => {
  const target = String(request.headers['x-amz-target'] ?? '');
  const name = target.startsWith(TARGET_PREFIX) ? target.slice(TARGET_PREFIX.length) : '';
  const operation = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  if (request.method !== 'POST' || operation === undefined)
    throw new EcsError('UnknownOperationException', `Operation ${name || target} is not served here.`);
  const body = await readBody(request);
  const identity = { ...options.credentials, region: options.region };
  requireSignature(request, body, identity, (options.clock ?? systemClock).nowMs());
  const refused = options.refuse?.(name);
  if (refused !== undefined) throw refused;
  return operation(context, parseJson(body));
};

const send = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
  response.end(JSON.stringify(body));
};

/** Starts on 127.0.0.1. Tasks of an earlier life are reported STOPPED at once, through `emit` too. Rejects when the port is taken. */
export const startEcs = async (options: EcsOptions): Promise<RunningEcs> => {
  const {
    clock = systemClock,
    random = systemRandom,
    warn = (message: string) => process.emitWarning(message),
  } = options;
  const arnPrefix = `arn:aws:ecs:${options.region}:${options.account ?? '000000000000'}`;
  const tasks = new Tasks({ ...options, arnPrefix, clock, random, warn });
  const context: Context = {
    definitions: openDefinitions(options.dir, arnPrefix, clock),
    tasks,
    cluster: options.cluster,
  };
  const server = createServer((request, response) => {
    answer(context, options, request).then(
      (body) => send(response, 200, body),
      (error: unknown) => {
        const known = error instanceof EcsError ? error : new EcsError('ServerException', 'Internal error');
        if (known !== error) warn(`ecs: ${error instanceof Error ? error.stack : String(error)}`);
        if (!response.destroyed) send(response, known.status, { __type: known.code, message: known.message });
      },
    );
  });
  const port = await listenOnLoopback(server, options.port);
  return {
    endpoint: `http://127.0.0.1:${port}`,
    tasks,
    drain: (maxMs) => tasks.drain(maxMs, 'The village stops'),
    async stop() {
      // No new call is taken while the tasks end; those under way may still be answered.
      server.close();
      await tasks.close();
      await closeServer(server);
    },
  };
};
