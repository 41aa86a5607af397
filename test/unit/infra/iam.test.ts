import { flattenCfnReference } from 'cdk-nag/lib/utils/flatten-cfn-reference.js';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { pascal } from '../../../infra/constructs/logical-id.ts';
import {
  FUNCTIONS,
  type FunctionName,
  type Grant,
  STREAM_TRIGGERS,
  TABLES,
  TASK_FAMILY,
} from '../../../infra/topology.ts';
import { template, withoutHash } from './cell.ts';

const cell = template();

const list = z.union([z.string(), z.array(z.unknown()), z.record(z.string(), z.unknown())]);
const Statement = z.looseObject({
  Effect: z.string(),
  Action: z.union([z.string(), z.array(z.string())]),
  Resource: list.optional(),
  Condition: z.unknown().optional(),
});
const Document = z.looseObject({ Statement: z.array(Statement) });
interface Rule {
  readonly action: string;
  readonly resource: string;
  readonly condition: string;
}
const asArray = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);
const rulesOf = (policyDocument: unknown): Rule[] =>
  Document.parse(policyDocument).Statement.flatMap(({ Action, Resource, Condition }) =>
    asArray(Action).flatMap((action) =>
      asArray(Resource).map((resource) => ({
        action,
        resource: withoutHash(flattenCfnReference(resource)),
        condition: withoutHash(JSON.stringify(Condition ?? {}).replaceAll('"', ' ')),
      })),
    ),
  );
const identityPolicies = cell.of('AWS::IAM::Policy').map(([id, { Properties }]) => ({
  id: withoutHash(id),
  rules: rulesOf(Properties.PolicyDocument),
}));

const ARN = (service: string) => `arn:<AWS::Partition>:${service}:<AWS::Region>:<AWS::AccountId>:`;
const READ = ['GetItem', 'Query'];
const WRITE = ['ConditionCheckItem', 'DeleteItem', 'PutItem', 'UpdateItem'];

/** `action resource` pairs that a grant may lead to, written down apart from the constructs. */
const allowedBy = (grant: Grant): string[] => {
  if (grant.kind === 'table') {
    const arn = `<Tables${pascal(grant.table)}.Arn>`;
    const actions = {
      read: READ,
      write: WRITE,
      readwrite: [...READ, ...WRITE],
      revise: ['GetItem', 'UpdateItem'],
      add: ['PutItem'],
    }[grant.access];
    const indexes = TABLES.find(({ name }) => name === grant.table)?.indexes ?? [];
    return [
      ...actions.map((action) => `dynamodb:${action} ${arn}`),
      ...(!actions.includes('Query') ? [] : indexes.map(({ name }) => `dynamodb:Query ${arn}/index/${name}`)),
    ];
  }
  if (grant.kind === 'bucket') {
    const arn = `<Buckets${pascal(grant.bucket)}.Arn>`;
    const get = [`s3:GetObject ${arn}/${grant.prefix}*`, `s3:ListBucket ${arn}`];
    const put = [`s3:PutObject ${arn}/${grant.prefix}*`];
    return { get, put, getput: [...get, ...put], delete: [`s3:DeleteObject ${arn}/${grant.prefix}*`] }[grant.access];
  }
  if (grant.kind === 'secret') return [`secretsmanager:GetSecretValue <Secrets${pascal(grant.secret)}>`];
  if (grant.kind === 'connections')
    return [
      `execute-api:ManageConnections ${ARN('execute-api')}<${pascal(grant.api)}SocketApi>/live/${{ post: 'POST', close: 'DELETE' }[grant.access]}/@connections/*`,
    ];
  const tasks = `${ARN('ecs')}task/<RunnerCluster>/*`;
  return {
    run: [`ecs:RunTask ${ARN('ecs')}task-definition/${TASK_FAMILY.family}:*`, 'iam:PassRole <RunnerExecutionRole.Arn>'],
    stop: [`ecs:StopTask ${tasks}`],
    describe: [`ecs:DescribeTasks ${tasks}`],
    list: ['ecs:ListTasks *'],
  }[grant.access];
};

/** What comes with being a function at all, and with its trigger. */
const surroundings = (name: FunctionName): string[] => {
  const logs = `<Functions${pascal(name)}Logs.Arn>`;
  const streams = STREAM_TRIGGERS.filter((trigger) => trigger.function === name);
  return [
    `logs:CreateLogStream ${logs}`,
    `logs:PutLogEvents ${logs}`,
    'xray:PutTelemetryRecords *',
    'xray:PutTraceSegments *',
    ...streams.flatMap(({ table }) =>
      ['DescribeStream', 'GetRecords', 'GetShardIterator', 'ListStreams'].map(
        (action) => `dynamodb:${action} <Tables${pascal(table)}.StreamArn>`,
      ),
    ),
    ...streams.flatMap(({ table }) => queueOf(`Streams${pascal(table)}To${pascal(name)}`)),
    ...(name === 'task-events' ? queueOf('RulesTaskState') : []),
  ];
};
const queueOf = (owner: string): string[] =>
  ['sqs:GetQueueAttributes', 'sqs:GetQueueUrl', 'sqs:SendMessage'].map(
    (action) => `${action} <${owner}DeadLetters.Arn>`,
  );

describe.each(FUNCTIONS.map(({ name, grants }) => [name, grants] as const))('%s', (name, grants) => {
  it('may do what its grants say, and nothing else', () => {
    const policy = identityPolicies.find(({ id }) => id === `Functions${pascal(name)}RoleDefaultPolicy`);
    const has = new Set(policy?.rules.map(({ action, resource }) => `${action} ${resource}`));
    const expected = new Set([...grants.flatMap(allowedBy), ...surroundings(name)]);
    expect([...has].sort()).toEqual([...expected].sort());
  });
});

/** Patterns that no policy can do without, each with the reason. */
const WILDCARDS: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  { pattern: /^xray:Put\w+ \*$/, reason: 'segments have no resource' },
  { pattern: /^ecr:GetAuthorizationToken \*$/, reason: 'a login is to the registry as a whole' },
  { pattern: /^s3:(Get|Put)Object <BucketsTranscripts\.Arn>\/tenants\/\*$/, reason: 'keys under one prefix' },
  {
    pattern: /^s3:DeleteObject <BucketsTranscripts\.Arn>\/tenants\/\*\/checkpoints\/\*$/,
    reason: 'old checkpoints of any session, nothing else of it',
  },
  { pattern: /^ecs:ListTasks \*$/, reason: 'takes no resource that Fargate has; its condition names the cluster' },
  {
    pattern: /^execute-api:ManageConnections .*SocketApi>\/live\/(POST|DELETE)\/@connections\/\*$/,
    reason: 'ids of connections',
  },
  { pattern: /^ecs:RunTask .*:task-definition\/village-runner:\*$/, reason: 'revisions of one family' },
  { pattern: /^ecs:(StopTask|DescribeTasks) .*:task\/<RunnerCluster>\/\*$/, reason: 'ids of tasks in one cluster' },
];

describe('all identity policies', () => {
  it('name every action in full', () => {
    for (const { id, rules } of identityPolicies)
      for (const { action } of rules) expect(action, id).toMatch(/^[a-z0-9-]+:[A-Za-z]+$/);
  });

  it('use only wildcards that are listed with a reason', () => {
    const unlisted = identityPolicies
      .flatMap(({ rules }) => rules)
      .filter(({ resource }) => resource.includes('*'))
      .map(({ action, resource }) => `${action} ${resource}`)
      .filter((rule) => !WILDCARDS.some(({ pattern }) => pattern.test(rule)));
    expect(unlisted).toEqual([]);
  });

  it('list no wildcard that is gone', () => {
    const rules = identityPolicies.flatMap((policy) => policy.rules.map((rule) => `${rule.action} ${rule.resource}`));
    for (const { pattern, reason } of WILDCARDS)
      expect(
        rules.some((rule) => pattern.test(rule)),
        reason,
      ).toBe(true);
  });

  it('start, stop and look at tasks in the one cluster only', () => {
    const rules = identityPolicies.flatMap((policy) => policy.rules).filter(({ action }) => action.startsWith('ecs:'));
    expect(rules.length).toBeGreaterThan(0);
    for (const { condition } of rules) expect(condition).toMatch(/ArnEquals :\{ ecs:cluster :.*RunnerCluster/);
  });

  it('pass only the execution role, and only to ECS tasks', () => {
    const passes = identityPolicies.flatMap((policy) => policy.rules).filter(({ action }) => action === 'iam:PassRole');
    expect(passes.length).toBeGreaterThan(0);
    for (const { resource, condition } of passes) {
      expect(resource).toBe('<RunnerExecutionRole.Arn>');
      expect(condition).toContain('iam:PassedToService : ecs-tasks.amazonaws.com');
    }
  });
});

describe('roles', () => {
  it('have no managed policy but the one that API Gateway demands', () => {
    const managed = cell
      .of('AWS::IAM::Role')
      .filter(([, { Properties }]) => Properties.ManagedPolicyArns !== undefined)
      .map(([id]) => withoutHash(id));
    expect(managed).toEqual(['GatewayLogsRole']);
  });

  it('are assumed by services, never by accounts', () => {
    const Trust = z.looseObject({
      Statement: z.array(z.looseObject({ Principal: z.strictObject({ Service: z.string() }) })),
    });
    for (const [id, { Properties }] of cell.of('AWS::IAM::Role'))
      expect(Trust.safeParse(Properties.AssumeRolePolicyDocument).success, id).toBe(true);
  });
});
