/**
 * One cell: the whole topology in one account and region. One stack, because page, API and functions name each other
 * and are rolled back together; what must outlive it is retained.
 */
import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { CellConfig } from '../config.ts';
import { GatewayLogAccess } from '../constructs/api-access-log.ts';
import { AccessLogs, Buckets } from '../constructs/buckets.ts';
import { ByName } from '../constructs/by-name.ts';
import { ControlFunctions } from '../constructs/control-functions.ts';
import { Edge } from '../constructs/edge.ts';
import { EventRules } from '../constructs/event-rules.ts';
import { functionEnvironment } from '../constructs/function-environment.ts';
import { HttpApi } from '../constructs/http-api.ts';
import { Network } from '../constructs/network.ts';
import { RunnerTasks } from '../constructs/runner-tasks.ts';
import { Schedules } from '../constructs/schedules.ts';
import { Secrets } from '../constructs/secrets.ts';
import { StreamTriggers } from '../constructs/stream-triggers.ts';
import { Tables } from '../constructs/tables.ts';
import { WebSocketApi } from '../constructs/websocket-api.ts';
import {
  BUCKETS,
  EVENT_RULES,
  FUNCTIONS,
  HTTP_ROUTES,
  SCHEDULES,
  SECRETS,
  STREAM_TRIGGERS,
  TABLES,
  TASK_FAMILY,
  WEBSOCKET_APIS,
  type WebSocketApiName,
} from '../topology.ts';

const PAGE = 'page';

export interface CellStackProps extends StackProps {
  readonly config: CellConfig;
  readonly version: string;
}

export class CellStack extends Stack {
  constructor(scope: Construct, id: string, { config, version, ...props }: CellStackProps) {
    super(scope, id, { ...props, terminationProtection: true });
    const tables = new Tables(this, 'Tables', TABLES).all;
    const secrets = new Secrets(this, 'Secrets', SECRETS).all;
    const network = new Network(this, 'Network');
    const runnerTasks = new RunnerTasks(this, 'Runner', TASK_FAMILY);
    const accessLogs = new AccessLogs(this, 'AccessLogs').bucket;
    const buckets = new Buckets(this, 'Buckets', accessLogs);
    const http = new HttpApi(this, 'Http');
    const logAccess = new GatewayLogAccess(this, 'GatewayLogs');
    const sockets = WEBSOCKET_APIS.map((spec) => ({ spec, api: new WebSocketApi(this, spec, logAccess) }));

    const page = buckets.add(specOf(PAGE), null);
    const originSecret = secrets.get('origin-secret');
    /** The edge knows the APIs' names only and the functions know the edge's: in this order nothing goes in a circle. */
    const edge = new Edge(this, 'Edge', { config, page, accessLogs, originSecret, http, sockets });
    for (const spec of BUCKETS) if (spec.name !== PAGE) buckets.add(spec, edge.publicUrl);

    const bySocket = <Value>(kind: string, pick: (api: WebSocketApi) => Value): ByName<WebSocketApiName, Value> => {
      const picked = new ByName<WebSocketApiName, Value>(kind);
      for (const { spec, api } of sockets) picked.add(spec.name, pick(api));
      return picked;
    };
    const environment = functionEnvironment({
      operatorTenant: config.operatorTenant,
      warmPoolSize: config.warmPoolSize,
      runnerImage: config.runnerImage,
      tables,
      buckets: buckets.all,
      secrets,
      network,
      runnerTasks,
      version,
      publicUrl: edge.publicUrl,
      managementEndpoints: bySocket('management endpoint', (api) => api.managementEndpoint),
    });
    const connectionArns = bySocket('WebSocket API', (api) => api.connectionArns);
    const targets = { tables, buckets: buckets.all, secrets, connectionArns, runnerTasks };
    const functions = new ControlFunctions(this, 'Functions', FUNCTIONS, environment, targets).all;

    http.addRoutes(HTTP_ROUTES, functions);
    for (const { api } of sockets) api.addRoutes(functions);
    new EventRules(this, 'Rules', EVENT_RULES, functions, runnerTasks.clusterArn);
    new Schedules(this, 'Schedules', SCHEDULES, functions);
    new StreamTriggers(this, 'Streams', STREAM_TRIGGERS, tables, functions);
    new CfnOutput(this, 'PublicUrl', { value: edge.publicUrl });
    new CfnOutput(this, 'PageBucket', { value: page.bucketName });
    new CfnOutput(this, 'DistributionId', { value: edge.distribution.distributionId });
  }
}

const specOf = (name: (typeof BUCKETS)[number]['name']) => {
  const spec = BUCKETS.find((bucket) => bucket.name === name);
  if (spec === undefined) throw new Error(`the topology has no bucket "${name}"`);
  return spec;
};
