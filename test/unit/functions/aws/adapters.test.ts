/** Error paths of the adapters, which the real engines do not show on demand; what they do on a good day the contract tests hold. */
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  ProvisionedThroughputExceededException,
  TransactionCanceledException,
} from '@aws-sdk/client-dynamodb';
import {
  AccessDeniedException,
  ClientException,
  DescribeTasksCommand,
  ECSClient,
  InvalidParameterException,
  ListTasksCommand,
  RunTaskCommand,
  StopTaskCommand,
} from '@aws-sdk/client-ecs';
import { DeleteObjectCommand, GetObjectCommand, NoSuchKey, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import {
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { mockClient } from 'aws-sdk-client-mock';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { dynamoDatabase } from '../../../../functions/aws/dynamo-database.ts';
import { ecsTaskLauncher } from '../../../../functions/aws/ecs-task-launcher.ts';
import { s3ObjectStore } from '../../../../functions/aws/s3-object-store.ts';
import { secretReader } from '../../../../functions/aws/secrets.ts';
import type { TableName } from '../../../../functions/database.ts';
import { TABLES } from '../../../../infra/topology.ts';
import { seededRandom, TestClock } from '../../../fakes/control-plane-ports.ts';

const config = { region: 'us-east-1', credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
const dynamo = mockClient(DynamoDBDocumentClient);
const ecs = mockClient(ECSClient);
const s3 = mockClient(S3Client);
const secretsManager = mockClient(SecretsManagerClient);
const mocks = [dynamo, ecs, s3, secretsManager];
const about = { message: 'from the mock', $metadata: {} };

beforeEach(() => {
  for (const mock of mocks) mock.reset();
});
afterAll(() => {
  for (const mock of mocks) mock.restore();
});

describe('DynamoDB', () => {
  const tableNames = Object.fromEntries(TABLES.map(({ name }) => [name, name])) as Record<TableName, string>;
  const db = dynamoDatabase({
    client: new DynamoDBClient(config),
    tableNames,
    clock: new TestClock(),
    random: seededRandom(),
  });
  const key = { pk: 'a', sk: 'b' };
  const throttle = new ProvisionedThroughputExceededException(about);
  const canceled = (...codes: string[]) =>
    new TransactionCanceledException({ ...about, CancellationReasons: codes.map((Code) => ({ Code })) });
  const named = (name: string) => Object.assign(new Error(name), { name });

  test('weather is retried until it clears', async () => {
    dynamo
      .on(GetCommand)
      .rejectsOnce(throttle)
      .rejectsOnce(named('ThrottlingException'))
      .resolves({ Item: { ...key } });
    expect(await db.get('sessions', key)).toEqual(key);
    expect(dynamo.commandCalls(GetCommand)).toHaveLength(3);
  });

  test.each(['TimeoutError', 'InternalServerError', 'TransactionInProgressException'])(
    'weather that stays (%s) is reported as throttled',
    async (name) => {
      dynamo.on(GetCommand).rejects(named(name));
      await expect(db.get('sessions', key)).rejects.toMatchObject({ code: 'throttled', status: 429 });
      expect(dynamo.commandCalls(GetCommand)).toHaveLength(8);
    },
  );

  test('a connection that broke is weather too', async () => {
    dynamo
      .on(GetCommand)
      .rejectsOnce(Object.assign(new Error('x'), { code: 'ECONNRESET' }))
      .resolves({});
    expect(await db.get('sessions', key)).toBeNull();
  });

  test('what will not get better is passed on at once', async () => {
    dynamo.on(PutCommand).rejects(named('AccessDeniedException'));
    await expect(db.write({ kind: 'put', table: 'sessions', item: key })).rejects.toThrow('AccessDeniedException');
    expect(dynamo.commandCalls(PutCommand)).toHaveLength(1);
  });

  test('a refused condition is an answer, with and without what stands there', async () => {
    const update = { kind: 'update', table: 'sessions', key, set: { x: 1 } } as const;
    dynamo
      .on(UpdateCommand)
      .rejectsOnce(new ConditionalCheckFailedException({ ...about, Item: { pk: { S: 'a' }, n: { N: '5' } } }))
      .rejectsOnce(new ConditionalCheckFailedException(about));
    expect(await db.write(update)).toEqual({ ok: false, item: { pk: 'a', n: 5 } });
    expect(await db.write(update)).toEqual({ ok: false, item: null });
  });

  test('a transaction in conflict is tried again, one that was refused is not', async () => {
    const writes = [{ kind: 'put', table: 'sessions', item: key }] as const;
    dynamo
      .on(TransactWriteCommand)
      .rejectsOnce(canceled('TransactionConflict'))
      .rejectsOnce(canceled('None', 'ThrottlingError'))
      .rejectsOnce(canceled('None', 'ConditionalCheckFailed'));
    expect(await db.transact(writes)).toEqual({ ok: false, failed: [{ index: 1, item: null }] });
    expect(dynamo.commandCalls(TransactWriteCommand)).toHaveLength(3);
  });

  test('a transaction that was cancelled for another reason is an error', async () => {
    dynamo.on(TransactWriteCommand).rejects(canceled('ValidationError'));
    await expect(db.transact([{ kind: 'put', table: 'sessions', item: key }])).rejects.toBeInstanceOf(
      TransactionCanceledException,
    );
    expect(dynamo.commandCalls(TransactWriteCommand)).toHaveLength(1);
  });

  test('a query that DynamoDB refuses is the caller’s error where it brought a cursor, ours where not', async () => {
    dynamo.on(QueryCommand).rejects(named('ValidationException'));
    const query = { table: 'sessions', partition: 'a', limit: 1 } as const;
    await expect(db.query(query)).rejects.toThrow('ValidationException');
    const cursor = Buffer.from('{"pk":"x","sk":"y"}').toString('base64url');
    await expect(db.query({ ...query, cursor })).rejects.toMatchObject({ code: 'invalid_request', path: 'cursor' });
  });
});

describe('ECS', () => {
  const launcher = ecsTaskLauncher({
    client: new ECSClient(config),
    cluster: 'village',
    container: 'runner',
    subnets: ['subnet-1'],
    securityGroups: ['sg-1'],
  });
  const request = { clientToken: 't#1', startedBy: 'acme/ses/1', taskDefinition: 'td:1', environment: { A: 'b' } };

  test('a task is asked for with token, owner and overrides', async () => {
    ecs.on(RunTaskCommand).resolves({ tasks: [{ taskArn: 'arn' }] });
    expect(await launcher.launch(request)).toEqual({ kind: 'launched', taskArn: 'arn' });
    expect(ecs.commandCalls(RunTaskCommand)[0]?.args[0].input).toMatchObject({
      clientToken: 't#1',
      startedBy: 'acme/ses/1',
      overrides: { containerOverrides: [{ name: 'runner', environment: [{ name: 'A', value: 'b' }] }] },
    });
  });

  test.each([
    [
      { failures: [{ reason: 'RESOURCE:CPU', detail: 'none left' }, { reason: 'AGENT' }] },
      'RESOURCE:CPU: none left; AGENT',
    ],
    [{ tasks: [], failures: [] }, 'ECS named no task'],
    [{}, 'ECS named no task'],
  ])('failures in an answer of 200 are a refusal', async (answer, reason) => {
    ecs.on(RunTaskCommand).resolves(answer);
    expect(await launcher.launch(request)).toEqual({ kind: 'refused', reason, isPermanent: false });
  });

  test('what was asked wrongly is a refusal with its reason', async () => {
    ecs
      .on(RunTaskCommand)
      .rejectsOnce(new InvalidParameterException({ ...about, message: 'no such definition' }))
      .rejectsOnce(new ClientException({ ...about, message: 'not active' }));
    for (const reason of ['no such definition', 'not active'])
      expect(await launcher.launch(request)).toEqual({ kind: 'refused', reason, isPermanent: true });
  });

  test.each([
    'Capacity is unavailable at this time. Please try again later or in a different availability zone',
    'You’ve reached the limit on the number of vCPUs you can run concurrently',
    'Too many concurrent attempts to create a new revision of the specified family.',
    'Rate exceeded',
  ])('an exception that means the moment passes: %s', async (message) => {
    ecs.on(RunTaskCommand).rejects(new ClientException({ ...about, message }));
    expect(await launcher.launch(request)).toMatchObject({ kind: 'refused', isPermanent: false });
  });

  test('what runs is listed page by page with its owner; what was told to stop meanwhile is left out', async () => {
    ecs
      .on(ListTasksCommand)
      .resolvesOnce({ taskArns: ['a', 'b'], nextToken: 'n' })
      .resolvesOnce({ taskArns: [] });
    ecs.on(DescribeTasksCommand).resolves({
      tasks: [
        { taskArn: 'a', startedBy: 'acme/ses/1', desiredStatus: 'RUNNING' },
        { taskArn: 'b', startedBy: 'acme/ses/2', desiredStatus: 'STOPPED' },
      ],
    });
    const tasks = [{ taskArn: 'a', startedBy: 'acme/ses/1' }];
    expect(await launcher.listRunning(null)).toEqual({ tasks, cursor: 'n' });
    expect(await launcher.listRunning('n')).toEqual({ tasks: [], cursor: null });
    expect(ecs.commandCalls(ListTasksCommand)[1]?.args[0].input).toMatchObject({ nextToken: 'n', cluster: 'village' });
    expect(ecs.commandCalls(DescribeTasksCommand)).toHaveLength(1);
  });

  test('what ECS could not decide is an error, so that a repeat asks for the same task', async () => {
    ecs.on(RunTaskCommand).rejects(new AccessDeniedException(about));
    await expect(launcher.launch(request)).rejects.toBeInstanceOf(AccessDeniedException);
  });

  test('overrides that ECS would not take are not sent', async () => {
    await expect(launcher.launch({ ...request, environment: { A: 'x'.repeat(9_000) } })).rejects.toThrow('overrides');
    expect(ecs.calls()).toHaveLength(0);
  });

  test.each([
    [{ tasks: [{ lastStatus: 'RUNNING' }] }, { kind: 'live' }],
    [{ tasks: [] }, { kind: 'stopped', why: 'the task is not known any more', exitCode: null }],
    [
      {
        tasks: [
          {
            lastStatus: 'STOPPED',
            stoppedReason: 'OOM',
            stopCode: 'EssentialContainerExited' as const,
            containers: [{ exitCode: 137 }],
          },
        ],
      },
      { kind: 'stopped', why: 'OOM', exitCode: 137, stopCode: 'EssentialContainerExited' },
    ],
    [
      { tasks: [{ lastStatus: 'STOPPED' }] },
      { kind: 'stopped', why: 'no reason given', exitCode: null, stopCode: null },
    ],
  ])('%j', async (answer, status) => {
    ecs.on(DescribeTasksCommand).resolves(answer);
    expect(await launcher.status('arn')).toEqual(status);
  });

  test('stopping what is gone is a success, what is forbidden is not', async () => {
    ecs
      .on(StopTaskCommand)
      .rejectsOnce(new InvalidParameterException(about))
      .rejectsOnce(new AccessDeniedException(about));
    await launcher.stop('arn', 'x');
    await expect(launcher.stop('arn', 'x')).rejects.toBeInstanceOf(AccessDeniedException);
  });
});

describe('S3 and secrets', () => {
  test('an object that is not there is null, another failure an error', async () => {
    const objects = s3ObjectStore({ client: new S3Client(config), bucket: 'b' });
    s3.on(GetObjectCommand).rejectsOnce(new NoSuchKey(about)).resolvesOnce({}).rejects(new Error('AccessDenied'));
    expect(await objects.getJson('k')).toBeNull();
    expect(await objects.getJson('k')).toBeNull();
    await expect(objects.getJson('k')).rejects.toThrow('AccessDenied');
    s3.on(PutObjectCommand).rejects(new Error('SlowDown'));
    await expect(objects.putJson('k', {})).rejects.toThrow('SlowDown');
    s3.on(DeleteObjectCommand).resolvesOnce({}).rejects(new Error('SlowDown'));
    await objects.delete('k');
    await expect(objects.delete('k')).rejects.toThrow('SlowDown');
  });

  test('a secret is asked for once in five minutes, and a failure is not remembered', async () => {
    const clock = new TestClock();
    const read = secretReader({ client: () => new SecretsManagerClient(config), clock });
    secretsManager
      .on(GetSecretValueCommand)
      .rejectsOnce(new Error('away'))
      .resolvesOnce({ SecretString: 'one' })
      .resolvesOnce({ SecretString: 'two' })
      .resolves({});
    await expect(read('s')).rejects.toThrow('away');
    expect(await read('s')).toBe('one');
    expect(await read('s')).toBe('one');
    clock.advance(5 * 60_000 + 1);
    expect(await read('s')).toBe('two');
    expect(await read('empty')).toBeNull();
  });
});
