/** local/ecs through the AWS SDK; each test names what it shows of facts/aws.md, "Limits elsewhere", row ECS. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ConflictException,
  DeregisterTaskDefinitionCommand,
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ECSClient,
  InvalidParameterException,
  ListTaskDefinitionsCommand,
  ListTasksCommand,
  RegisterTaskDefinitionCommand,
  RunTaskCommand,
  type RunTaskCommandInput,
  StopTaskCommand,
  type Task,
} from '@aws-sdk/client-ecs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ecsTaskLauncher } from '../../functions/aws/ecs-task-launcher.ts';
import { EcsError } from '../../local/ecs/ecs-error.ts';
import { processLauncher } from '../../local/ecs/process-launcher.ts';
import { type EcsOptions, type RunningEcs, startEcs } from '../../local/ecs/server.ts';
import type { TaskEvent } from '../../local/ecs/task.ts';
import { systemClock } from '../../shared/clock.ts';

/** Writes what it sees to OUT, starts a helper in a group of its own, and then waits; STUBBORN ignores SIGTERM. */
const TASK = `
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
const { OUT, MODE } = process.env;
if (MODE === 'exit') process.exit(7);
const helper = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' });
helper.unref();
if (MODE === 'stubborn') process.on('SIGTERM', () => console.log('not now'));
else process.on('SIGTERM', () => process.exit(0));
process.stdin.resume().on('end', () => process.exit(1));
console.log('task says hello');
writeFileSync(OUT, JSON.stringify({ env: process.env, pid: process.pid, helper: helper.pid }));
setInterval(() => {}, 1000);
`;

const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' };

let root: string;
let ecs: RunningEcs;
let client: ECSClient;
let events: TaskEvent[];

const start = async (over: Partial<EcsOptions> = {}): Promise<void> => {
  events = [];
  ecs = await startEcs({
    dir: join(root, 'ecs'),
    region: 'eu-test-1',
    credentials: CREDENTIALS,
    cluster: 'village',
    launcher: processLauncher({
      command: [process.execPath, join(root, 'task.mjs')],
      cwd: root,
      path: '/usr/bin:/bin',
      dir: join(root, 'tasks'),
      clock: systemClock,
    }),
    emit: (event) => events.push(event),
    ...over,
  });
  client = new ECSClient({
    endpoint: ecs.endpoint,
    region: 'eu-test-1',
    credentials: CREDENTIALS,
    maxAttempts: 1,
  });
};

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'village-ecs-'));
  writeFileSync(join(root, 'task.mjs'), TASK);
  vi.stubEnv('A_SECRET_OF_THE_VILLAGE', 'must not reach a task');
  await start();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  client.destroy();
  await ecs.stop();
  rmSync(root, { recursive: true, force: true });
});

const out = () => join(root, 'out.json');
const register = async (environment: Record<string, string> = {}, stopTimeout = 30) => {
  const { taskDefinition } = await client.send(
    new RegisterTaskDefinitionCommand({
      family: 'runner',
      containerDefinitions: [
        {
          name: 'runner',
          image: 'x',
          stopTimeout,
          environment: Object.entries({ OUT: out(), ...environment }).map(([name, value]) => ({ name, value })),
        },
      ],
    }),
  );
  return taskDefinition;
};
const run = (input: Partial<RunTaskCommandInput> = {}) =>
  client.send(new RunTaskCommand({ cluster: 'village', taskDefinition: 'runner', ...input }));
const describeTask = async (arn: string | undefined): Promise<Task | undefined> =>
  (await client.send(new DescribeTasksCommand({ cluster: 'village', tasks: [arn ?? ''] }))).tasks?.[0];
const reaches = (arn: string | undefined, status: string): Promise<Task> =>
  vi.waitFor(
    async () => {
      const task = await describeTask(arn);
      if (task?.lastStatus !== status) throw new Error(`task is ${task?.lastStatus}`);
      return task;
    },
    { timeout: 15_000, interval: 20 },
  );
const report = (): Promise<{ env: Record<string, string>; pid: number; helper: number }> =>
  vi.waitFor(() => JSON.parse(readFileSync(out(), 'utf8')), { timeout: 15_000, interval: 20 });
const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

describe('the control plane', () => {
  it('finds what runs, with its owner, and nothing that was told to stop', async () => {
    await register();
    const { tasks: [kept] = [] } = await run({ startedBy: 'acme/ses/1' });
    const { tasks: [stopped] = [] } = await run({ startedBy: 'acme/ses/2' });
    await client.send(new StopTaskCommand({ cluster: 'village', task: stopped?.taskArn }));
    const lister = ecsTaskLauncher({
      client,
      cluster: 'village',
      container: 'runner',
      subnets: [],
      securityGroups: [],
    });
    expect(await lister.listRunning(null)).toEqual({
      tasks: [{ taskArn: kept?.taskArn, startedBy: 'acme/ses/1' }],
      cursor: null,
    });
    await reaches(stopped?.taskArn, 'STOPPED');
    expect(await lister.status(stopped?.taskArn ?? '')).toMatchObject({ kind: 'stopped', stopCode: 'UserInitiated' });
  });
});

describe('task definitions', () => {
  it('have revisions, are found by family, revision and ARN, and survive a restart', async () => {
    const first = await register();
    const second = await register({ VILLAGE_BUILD_ID: 'b2' });
    expect([first?.revision, second?.revision]).toEqual([1, 2]);
    await ecs.stop();
    await start();
    for (const name of ['runner', 'runner:2', second?.taskDefinitionArn]) {
      const found = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: name }));
      expect(found.taskDefinition?.taskDefinitionArn).toBe(second?.taskDefinitionArn);
    }
    expect(second?.registeredAt).toBeInstanceOf(Date);
    const listed = await client.send(new ListTaskDefinitionsCommand({ familyPrefix: 'runner', maxResults: 1 }));
    expect(listed.taskDefinitionArns).toEqual([first?.taskDefinitionArn]);
    const rest = await client.send(new ListTaskDefinitionsCommand({ nextToken: listed.nextToken }));
    expect(rest.taskDefinitionArns).toEqual([second?.taskDefinitionArn]);
  });

  it('go inactive on deregistration: describable, not runnable', async () => {
    await register();
    await client.send(new DeregisterTaskDefinitionCommand({ taskDefinition: 'runner:1' }));
    const found = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: 'runner:1' }));
    expect(found.taskDefinition?.status).toBe('INACTIVE');
    await expect(run({ taskDefinition: 'runner:1' })).rejects.toThrow('inactive');
    await expect(run()).rejects.toThrow('Unable to describe');
  });
});

describe('RunTask', () => {
  it('launches with the environment of definition and overrides and nothing else', async () => {
    await register({ FROM_DEFINITION: 'd', OVERRIDDEN: 'old' });
    const overrides = {
      containerOverrides: [{ name: 'runner', environment: [{ name: 'OVERRIDDEN', value: 'new' }] }],
    };
    const { tasks, failures } = await run({ overrides, startedBy: 'me' });
    expect(failures).toEqual([]);
    expect(tasks?.[0]).toMatchObject({ lastStatus: 'PROVISIONING', desiredStatus: 'RUNNING' });
    const task = await reaches(tasks?.[0]?.taskArn, 'RUNNING');
    expect(task.overrides).toEqual(overrides);
    const { env } = await report();
    expect(env).toMatchObject({ FROM_DEFINITION: 'd', OVERRIDDEN: 'new', PATH: '/usr/bin:/bin' });
    expect(Object.keys(env).sort()).toEqual(
      [
        'FROM_DEFINITION',
        'HOME',
        'OUT',
        'OVERRIDDEN',
        'PATH',
        'TMPDIR',
        'VILLAGE_DIE_WITH_PARENT',
        'VILLAGE_TASK_ID',
      ].sort(),
    );
    expect(existsSync(env.HOME ?? '')).toBe(true);
    const listed = await client.send(new ListTasksCommand({ cluster: 'village', startedBy: 'me' }));
    expect(listed.taskArns).toEqual([task.taskArn]);
  });

  it('is idempotent on its clientToken, also after a restart; other parameters are a conflict', async () => {
    await register();
    const first = await run({ clientToken: 'ses#1' });
    const again = await run({ clientToken: 'ses#1' });
    expect(again.tasks?.map((task) => task.taskArn)).toEqual(first.tasks?.map((task) => task.taskArn));
    await expect(run({ clientToken: 'ses#1', startedBy: 'other' })).rejects.toThrow(ConflictException);
    await ecs.stop();
    await start();
    const later = await run({ clientToken: 'ses#1' });
    expect(later.tasks?.map((task) => task.taskArn)).toEqual(first.tasks?.map((task) => task.taskArn));
  });

  it('starts one task for concurrent calls with one clientToken', async () => {
    await register();
    const answers = await Promise.all([
      run({ clientToken: 'c' }),
      run({ clientToken: 'c' }),
      run({ clientToken: 'c' }),
    ]);
    expect(new Set(answers.map((answer) => answer.tasks?.[0]?.taskArn)).size).toBe(1);
  });

  it('refuses overrides over 8,192 characters, unknown containers, clusters and counts over 10', async () => {
    await register();
    const override = (name: string, value: string) => ({
      containerOverrides: [{ name, environment: [{ name: 'X', value }] }],
    });
    await expect(run({ overrides: override('runner', 'x'.repeat(8_192)) })).rejects.toThrow(InvalidParameterException);
    await expect(run({ overrides: override('other', 'x') })).rejects.toThrow(InvalidParameterException);
    await expect(run({ count: 11 })).rejects.toThrow(InvalidParameterException);
    await expect(run({ cluster: 'elsewhere' })).rejects.toMatchObject({ name: 'ClusterNotFoundException' });
  });

  it('answers 200 with failures when it cannot launch', async () => {
    await ecs.stop();
    await start({ maxLiveTasks: 1 });
    await register();
    await run();
    const { tasks, failures } = await run();
    expect(tasks).toEqual([]);
    expect(failures?.[0]?.reason).toBe('RESOURCE:CPU');
  });

  it('answers what chaos asks for', async () => {
    await ecs.stop();
    await start({ refuse: () => new EcsError('ThrottlingException', 'Rate exceeded') });
    await expect(run()).rejects.toMatchObject({ name: 'ThrottlingException' });
  });
});

describe('the life of a task', () => {
  it('is told in events with a rising version, overrides included', async () => {
    await register({ MODE: 'exit' });
    const overrides = { containerOverrides: [{ name: 'runner', environment: [{ name: 'T', value: 'token' }] }] };
    const { tasks } = await run({ overrides });
    const task = await reaches(tasks?.[0]?.taskArn, 'STOPPED');
    expect(task).toMatchObject({ stopCode: 'EssentialContainerExited', desiredStatus: 'STOPPED' });
    expect(task.containers?.[0]?.exitCode).toBe(7);
    expect(events.map((event) => event.detail.lastStatus)).toEqual(['PROVISIONING', 'PENDING', 'RUNNING', 'STOPPED']);
    expect(events.map((event) => event.detail.version)).toEqual([1, 2, 3, 4]);
    for (const event of events) {
      expect(event).toMatchObject({ source: 'aws.ecs', 'detail-type': 'ECS Task State Change', region: 'eu-test-1' });
      expect(event.detail.overrides).toEqual(overrides);
    }
  });

  it('ends with StopTask: SIGTERM first, and helpers in groups of their own end too', async () => {
    await register();
    const { tasks } = await run();
    const { pid, helper, env } = await report();
    await client.send(new StopTaskCommand({ cluster: 'village', task: tasks?.[0]?.taskArn, reason: 'enough' }));
    const task = await reaches(tasks?.[0]?.taskArn, 'STOPPED');
    expect(task).toMatchObject({ stopCode: 'UserInitiated', stoppedReason: 'enough' });
    expect(task.containers?.[0]?.exitCode).toBe(0);
    await vi.waitFor(() => expect([isAlive(pid), isAlive(helper)]).toEqual([false, false]));
    expect(existsSync(env.HOME ?? '')).toBe(false);
    const log = readFileSync(join(root, 'tasks', `${task.taskArn?.split('/').at(-1)}.log`), 'utf8');
    expect(log).toContain('task says hello');
  });

  it('is killed after stopTimeout when it does not end', async () => {
    await register({ MODE: 'stubborn' }, 0);
    const { tasks } = await run();
    await report();
    await client.send(new StopTaskCommand({ cluster: 'village', task: tasks?.[0]?.taskArn }));
    const task = await reaches(tasks?.[0]?.taskArn, 'STOPPED');
    expect(task.containers?.[0]?.exitCode).toBe(137);
  });

  it('fails to start when its program is missing', async () => {
    await ecs.stop();
    await start({
      launcher: processLauncher({
        command: [join(root, 'no-such-program')],
        cwd: root,
        path: '/bin',
        dir: join(root, 'tasks'),
        clock: systemClock,
      }),
    });
    await register();
    const { tasks } = await run();
    const task = await reaches(tasks?.[0]?.taskArn, 'STOPPED');
    expect(task.stopCode).toBe('TaskFailedToStart');
  });

  it('is STOPPED with a stopCode after a restart of the host, and the event is sent then', async () => {
    await register();
    const { tasks } = await run();
    const { pid, helper } = await report();
    await ecs.stop();
    await vi.waitFor(() => expect([isAlive(pid), isAlive(helper)]).toEqual([false, false]));
    await start();
    expect(await describeTask(tasks?.[0]?.taskArn)).toMatchObject({
      lastStatus: 'STOPPED',
      stopCode: 'TerminationNotice',
    });
    expect(events.map((event) => event.detail.lastStatus)).toEqual(['STOPPED']);
  });

  it('names tasks it does not know as MISSING', async () => {
    const answer = await client.send(new DescribeTasksCommand({ cluster: 'village', tasks: ['nope'] }));
    expect(answer).toMatchObject({ tasks: [], failures: [{ arn: 'nope', reason: 'MISSING' }] });
  });
});

it('serves nobody who cannot sign', async () => {
  const call = (secretAccessKey: string, accessKeyId: string) => {
    const stranger = new ECSClient({
      endpoint: ecs.endpoint,
      region: 'eu-test-1',
      credentials: { accessKeyId, secretAccessKey },
      maxAttempts: 1,
    });
    return stranger.send(new ListTaskDefinitionsCommand({})).finally(() => stranger.destroy());
  };
  await expect(call('test', 'test')).resolves.toBeDefined();
  await expect(call('wrong', 'test')).rejects.toMatchObject({ name: 'InvalidSignatureException' });
  await expect(call('test', 'other')).rejects.toMatchObject({ name: 'UnrecognizedClientException' });
  const headers = { 'x-amz-target': 'AmazonEC2ContainerServiceV20141113.ListTaskDefinitions' };
  const unsigned = await fetch(ecs.endpoint, { method: 'POST', body: '{}', headers });
  expect(unsigned.status).toBe(400);
});

it('keeps its files to their owner', async () => {
  mkdirSync(join(root, 'ecs'), { recursive: true });
  await register();
  for (const name of readdirSync(join(root, 'ecs'))) expect(statSync(join(root, 'ecs', name)).mode & 0o077).toBe(0);
});
