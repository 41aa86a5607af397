/** Each grant of the topology as the narrowest statements that fulfil it. */
import type { Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { CfnSecret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Wildcard } from '../acknowledge.ts';
import type { BucketName, Grant, SecretName, TableAccess, TableName, WebSocketApiName } from '../topology.ts';
import type { ByName } from './by-name.ts';
import type { RunnerTasks } from './runner-tasks.ts';
import type { TableResource } from './tables.ts';

export interface GrantTargets {
  readonly tables: ByName<TableName, TableResource>;
  readonly buckets: ByName<BucketName, Bucket>;
  readonly secrets: ByName<SecretName, CfnSecret>;
  /** ARN pattern of the connections of each WebSocket API's own stage, by what is done to them. */
  readonly connectionArns: ByName<WebSocketApiName, ConnectionArns>;
  readonly runnerTasks: RunnerTasks;
}

export interface ConnectionArns {
  readonly post: string;
  readonly close: string;
}

export interface Permission {
  readonly statements: readonly PolicyStatement[];
  readonly wildcards: readonly Wildcard[];
}
type GrantOf<Kind extends Grant['kind']> = Extract<Grant, { kind: Kind }>;

const allow = (actions: string[], resources: string[], conditions?: Record<string, unknown>): PolicyStatement =>
  new PolicyStatement({ actions, resources, ...(conditions === undefined ? {} : { conditions }) });

const READ = ['dynamodb:GetItem', 'dynamodb:Query'];
/** Conditions of a transaction are checked under an action of their own. */
const WRITE = ['dynamodb:ConditionCheckItem', 'dynamodb:DeleteItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem'];
const TABLE_ACTIONS: Record<TableAccess, readonly string[]> = {
  read: READ,
  write: WRITE,
  readwrite: [...READ, ...WRITE],
  revise: ['dynamodb:GetItem', 'dynamodb:UpdateItem'],
  add: ['dynamodb:PutItem'],
};

const tablePermission = ({ table, access }: GrantOf<'table'>, { tables }: GrantTargets): Permission => {
  const { spec, resource } = tables.get(table);
  const indexArns = spec.indexes.map(({ name }) => `${resource.attrArn}/index/${name}`);
  const statements = [allow([...TABLE_ACTIONS[access]], [resource.attrArn])];
  if (TABLE_ACTIONS[access].includes('dynamodb:Query') && indexArns.length > 0)
    statements.push(allow(['dynamodb:Query'], indexArns));
  return { statements, wildcards: [] };
};

const bucketPermission = ({ bucket, access, prefix }: GrantOf<'bucket'>, { buckets }: GrantTargets): Permission => {
  const { bucketArn } = buckets.get(bucket);
  const objects = `${bucketArn}/${prefix}*`;
  const actions = {
    get: ['s3:GetObject'],
    put: ['s3:PutObject'],
    getput: ['s3:GetObject', 's3:PutObject'],
    delete: ['s3:DeleteObject'],
  }[access];
  const statements = [allow(actions, [objects])];
  /** Without it S3 answers a missing object with "access denied", and "not there yet" could not be told from a fault. */
  if (access === 'get' || access === 'getput') statements.push(allow(['s3:ListBucket'], [bucketArn]));
  return { statements, wildcards: [{ resource: objects, reason: `Objects under ${prefix} of this one bucket.` }] };
};

const taskPermission = ({ access }: GrantOf<'tasks'>, { runnerTasks }: GrantTargets): Permission => {
  const { clusterArn, definitionsArn, tasksArn, executionRole } = runnerTasks;
  const inCluster = { ArnEquals: { 'ecs:cluster': clusterArn } };
  if (access === 'run')
    return {
      statements: [
        allow(['ecs:RunTask'], [definitionsArn], inCluster),
        allow(['iam:PassRole'], [executionRole.roleArn], {
          StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
        }),
      ],
      wildcards: [{ resource: definitionsArn, reason: 'Revisions of the one family, in the one cluster.' }],
    };
  /** Takes no task as its resource: the condition alone keeps it in the cluster. */
  if (access === 'list')
    return {
      statements: [allow(['ecs:ListTasks'], ['*'], inCluster)],
      wildcards: [
        { resource: '*', reason: 'ListTasks names no resource that Fargate has; the cluster is a condition.' },
      ],
    };
  return {
    statements: [allow([access === 'stop' ? 'ecs:StopTask' : 'ecs:DescribeTasks'], [tasksArn], inCluster)],
    wildcards: [
      { resource: tasksArn, reason: 'Tasks get their ids when they start; all of them are of this cluster.' },
    ],
  };
};

/** @throws Error when the grant names what the topology does not define */
export const permissionFor = (grant: Grant, targets: GrantTargets): Permission => {
  switch (grant.kind) {
    case 'table':
      return tablePermission(grant, targets);
    case 'bucket':
      return bucketPermission(grant, targets);
    case 'secret':
      return {
        statements: [allow(['secretsmanager:GetSecretValue'], [targets.secrets.get(grant.secret).ref])],
        wildcards: [],
      };
    case 'connections': {
      const connections = targets.connectionArns.get(grant.api)[grant.access];
      const reason = `Connections get their ids when they open; this stage and ${grant.access} only.`;
      return {
        statements: [allow(['execute-api:ManageConnections'], [connections])],
        wildcards: [{ resource: connections, reason }],
      };
    }
    case 'tasks':
      return taskPermission(grant, targets);
  }
};

/** ARN patterns for connections of one stage; looking at them is in none. */
export const connectionArnsOf = (stack: Stack, apiId: string, stageName: string): ConnectionArns => {
  const arn = (method: 'POST' | 'DELETE') =>
    stack.formatArn({
      service: 'execute-api',
      resource: apiId,
      resourceName: `${stageName}/${method}/@connections/*`,
    });
  return { post: arn('POST'), close: arn('DELETE') };
};
