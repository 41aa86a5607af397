/**
 * The control plane's entries as Lambda runs them: exported handlers, AWS's event shapes, environment from the platform; embedded
 * DynamoDB, S3 and Secrets Manager behind them. ECS and `@connections` are recorders, so that a test sees what left the control plane.
 */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { z } from 'zod';
import { BUCKETS, FUNCTIONS, HTTP_ROUTES, SECRETS, TABLES, WEBSOCKET_APIS } from '../../infra/topology.ts';
import { startDynamodb } from '../../local/dynamodb/dynoxide.ts';
import { ensureTables } from '../../local/dynamodb/ensure-tables.ts';
import { entryLoader } from '../../local/lambda/entry-loader.ts';
import { createLambda } from '../../local/lambda/lambda.ts';
import { startS3 } from '../../local/s3/server.ts';
import { startSecrets } from '../../local/secrets/server.ts';
import {
  bucketName,
  handlerEnvironment,
  loadEnvironment,
  secretName,
  tableName,
} from '../../local/village/handler-environment.ts';
import { systemClock, systemRandom } from '../../shared/clock.ts';

export const ORIGIN = 'http://127.0.0.1:4310';
const KEYS = { accessKeyId: 'AKIDVILLAGE', secretAccessKey: 'a-secret-for-tests' };
const ARN = 'arn:aws:execute-api:us-east-1:000000000000:ws/live/$connect';

export interface HttpAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly cookies: readonly string[];
}
export interface HttpRequest {
  readonly body?: unknown;
  /** Sent as it is, instead of `body` as JSON. */
  readonly rawBody?: string;
  readonly token?: string;
  readonly cookie?: string;
  readonly headers?: Readonly<Record<string, string>>;
}
export interface Connection {
  readonly id: string;
  readonly authorizer: Readonly<Record<string, unknown>>;
}

const readBody = async (request: IncomingMessage): Promise<string> => {
  let text = '';
  for await (const part of request) text += String(part);
  return text;
};
const listen = (server: Server): Promise<string> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`);
    });
  });
const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.closeAllConnections();
    server.close(() => resolve());
  });

/** Takes every post and every closing; ids named `gone…` answer 410. */
const startManagement = async () => {
  const posts: { connectionId: string; frame: Record<string, unknown> }[] = [];
  const closed: string[] = [];
  const server = createServer(async (request, response) => {
    const connectionId = decodeURIComponent(/@connections\/(?<id>[^/?]+)/.exec(request.url ?? '')?.groups?.id ?? '');
    const text = await readBody(request);
    if (request.method === 'DELETE') {
      closed.push(connectionId);
      return void response.writeHead(204).end();
    }
    const isGone = connectionId.startsWith('gone');
    if (!isGone) posts.push({ connectionId, frame: z.record(z.string(), z.unknown()).parse(JSON.parse(text)) });
    response.writeHead(isGone ? 410 : 200, isGone ? { 'x-amzn-errortype': 'GoneException' } : {}).end();
  });
  return { posts, closed, server, endpoint: await listen(server) };
};

/** Answers RunTask, DescribeTasks and StopTask; keeps what was asked. */
const startEcs = async () => {
  const calls: { action: string; input: Record<string, unknown> }[] = [];
  /** While set, every call is answered with 500. */
  const fault = { isOn: false };
  const server = createServer(async (request, response) => {
    const action = String(request.headers['x-amz-target']).split('.').at(-1) ?? '';
    const input = z.record(z.string(), z.unknown()).parse(JSON.parse(await readBody(request)));
    calls.push({ action, input });
    if (fault.isOn) return void response.writeHead(500).end();
    const task = {
      taskArn: `arn:aws:ecs:us-east-1:000000000000:task/village/${randomUUID().replaceAll('-', '')}`,
      lastStatus: 'PROVISIONING',
    };
    response
      .writeHead(200, { 'content-type': 'application/x-amz-json-1.1' })
      .end(JSON.stringify(action === 'StopTask' ? { task } : { tasks: [task], failures: [] }));
  });
  return { calls, fault, server, endpoint: await listen(server) };
};

const Answer = z.object({
  statusCode: z.int(),
  body: z.string().default('{}'),
  cookies: z.array(z.string()).default([]),
});
const HttpAuthorization = z.object({
  isAuthorized: z.boolean(),
  context: z.record(z.string(), z.unknown()).default({}),
});
const Policy = z.object({
  policyDocument: z.object({ Statement: z.array(z.object({ Effect: z.string(), Resource: z.string() })).length(1) }),
  context: z.record(z.string(), z.unknown()),
});
const Reply = z.object({
  statusCode: z.int(),
  body: z.string().optional(),
  headers: z.record(z.string(), z.string()).optional(),
});
export const Bootstrapped = z.object({ signInCode: z.string(), token: z.string() });

const matchRoute = (method: string, path: string) => {
  for (const route of HTTP_ROUTES) {
    const pattern = new RegExp(`^${route.path.replaceAll(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
    const match = route.method === method ? pattern.exec(path) : null;
    if (match !== null) return { route, pathParameters: match.groups ?? {} };
  }
  throw new Error(`no route ${method} ${path}`);
};

const httpEvent = (method: string, target: string, request: HttpRequest) => {
  const url = new URL(target, ORIGIN);
  const { route, pathParameters } = matchRoute(method, url.pathname);
  const routeKey = `${route.method} ${route.path}`;
  const query = Object.fromEntries(url.searchParams);
  const body = request.rawBody ?? (request.body === undefined ? undefined : JSON.stringify(request.body));
  const event = {
    version: '2.0',
    routeKey,
    rawPath: url.pathname,
    rawQueryString: url.search.slice(1),
    ...(request.cookie === undefined ? {} : { cookies: [request.cookie] }),
    headers: {
      host: '127.0.0.1:4310',
      'content-type': 'application/json',
      ...(request.token === undefined ? {} : { authorization: `Bearer ${request.token}` }),
      ...request.headers,
    },
    ...(url.search === '' ? {} : { queryStringParameters: query }),
    ...(Object.keys(pathParameters).length === 0 ? {} : { pathParameters: { ...pathParameters } }),
    requestContext: {
      accountId: '000000000000',
      apiId: 'http',
      domainName: '127.0.0.1',
      http: { method, path: url.pathname, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'test' },
      requestId: randomUUID(),
      routeKey,
      stage: '$default',
      timeEpoch: Date.now(),
    },
    ...(body === undefined ? {} : { body }),
    isBase64Encoded: false,
  };
  return { route, event };
};

/**
 * @param over environment beside what the local platform gives
 * @param modelKeys text of the secret that the operator fills
 */
export const startControlPlane = async (over: Readonly<Record<string, string>> = {}, modelKeys = '{}') => {
  const dir = await mkdtemp(join(tmpdir(), 'village-functions-'));
  const [dynamodb, s3, secrets, management, ecs] = await Promise.all([
    startDynamodb({ dir: join(dir, 'dynamodb') }),
    startS3({
      dir: join(dir, 's3'),
      ...KEYS,
      region: 'us-east-1',
      now: () => Date.now(),
      allowedOrigins: [ORIGIN],
      buckets: BUCKETS.map(({ name }) => bucketName(name)),
    }),
    startSecrets({ file: join(dir, 'secrets.json'), ...KEYS, region: 'us-east-1', now: () => Date.now() }),
    startManagement(),
    startEcs(),
  ]);
  if (!dynamodb.ok) throw new Error(dynamodb.message);
  const secretValues = Object.fromEntries(
    await Promise.all(
      SECRETS.map(async ({ name }) => {
        const value = name === 'model-keys' ? modelKeys : systemRandom.hex(32);
        return [name, await secrets.ensure(secretName(name), () => value)] as const;
      }),
    ),
  );
  Object.assign(
    process.env,
    loadEnvironment('DEBUG'),
    handlerEnvironment(
      KEYS,
      {
        dynamodb: dynamodb.dynamodb.endpoint,
        s3: s3.endpoint,
        ecs: ecs.endpoint,
        secrets: secrets.endpoint,
        publicUrl: ORIGIN,
        management: Object.fromEntries(WEBSOCKET_APIS.map(({ name }) => [name, `${management.endpoint}/${name}`])),
      },
      '0.1.0',
    ),
    { OPERATOR_TENANT: OPERATOR },
    over,
  );
  const client = new DynamoDBClient({ region: 'us-east-1', credentials: KEYS, endpoint: dynamodb.dynamodb.endpoint });
  await ensureTables(
    client,
    TABLES.map((table) => ({ ...table, name: tableName(table.name) })),
  );
  const lambda = createLambda({
    functions: FUNCTIONS,
    load: entryLoader(join(import.meta.dirname, '../..')),
    clock: systemClock,
    random: systemRandom,
  });

  /** Invokes a function and fails where its handler threw. */
  const invoke = async (name: string, event: unknown): Promise<unknown> => {
    const result = await lambda.invoke(name, event, { source: 'http' });
    if (!result.ok) throw new Error(`${name}: ${result.errorType}: ${result.message}`);
    return result.payload;
  };

  /** One HTTP request through its authorizer, as API Gateway leads it. */
  const http = async (method: string, target: string, request: HttpRequest = {}): Promise<HttpAnswer> => {
    const { route, event } = httpEvent(method, target, request);
    let { requestContext } = event as { requestContext: Record<string, unknown> };
    if (route.authorizer !== null) {
      const asked = { ...event, type: 'REQUEST', routeArn: ARN, identitySource: [], body: undefined };
      const { isAuthorized, context } = HttpAuthorization.parse(await invoke(route.authorizer, asked));
      if (!isAuthorized) return { status: 403, body: { message: 'Forbidden' }, cookies: [] };
      requestContext = { ...requestContext, authorizer: { lambda: context } };
    }
    const { statusCode, body, cookies } = Answer.parse(await invoke(route.function, { ...event, requestContext }));
    return { status: statusCode, body: z.record(z.string(), z.unknown()).parse(JSON.parse(body)), cookies };
  };

  const socketContext = (apiName: string, id: string, kind: Record<string, unknown>, authorizer: unknown) => ({
    requestId: randomUUID(),
    connectionId: id,
    connectedAt: Date.now(),
    apiId: apiName,
    domainName: '127.0.0.1',
    stage: 'live',
    messageDirection: 'IN',
    ...kind,
    ...(authorizer === undefined ? {} : { authorizer }),
  });

  /** Asks the authorizer, then `$connect`; `null` where either refuses. Numbers of the context become text, as on AWS. */
  const connect = async (
    apiName: 'viewer' | 'runner',
    headers: Readonly<Record<string, string>>,
    id: string = randomUUID(),
  ): Promise<(Connection & { readonly protocol: string | undefined }) | null> => {
    const connecting = { routeKey: '$connect', eventType: 'CONNECT' };
    const asked = {
      type: 'REQUEST',
      methodArn: ARN,
      headers,
      requestContext: socketContext(apiName, id, connecting, undefined),
    };
    const policy = Policy.parse(await invoke(`authorize-${apiName}`, asked));
    if (policy.policyDocument.Statement[0]?.Effect !== 'Allow') return null;
    const authorizer = Object.fromEntries(Object.entries(policy.context).map(([key, value]) => [key, String(value)]));
    const event = {
      headers,
      requestContext: socketContext(apiName, id, connecting, authorizer),
      isBase64Encoded: false,
    };
    const reply = Reply.parse(await invoke(`${apiName}-connection`, event));
    if (reply.statusCode !== 200) return null;
    return { id, authorizer, protocol: reply.headers?.['Sec-WebSocket-Protocol'] };
  };

  /** One text frame; what the route answers, or `null`. */
  const send = async (
    apiName: 'viewer' | 'runner',
    { id, authorizer }: Connection,
    frame: unknown,
  ): Promise<Record<string, unknown> | null> => {
    const text = typeof frame === 'string' ? frame : JSON.stringify(frame);
    const message = { routeKey: '$default', eventType: 'MESSAGE', messageId: randomUUID() };
    const requestContext = socketContext(apiName, id, message, authorizer);
    const reply = Reply.parse(
      await invoke(`${apiName}-frames`, { requestContext, body: text, isBase64Encoded: false }),
    );
    return reply.body === undefined ? null : z.record(z.string(), z.unknown()).parse(JSON.parse(reply.body));
  };

  const disconnect = (apiName: 'viewer' | 'runner', { id, authorizer }: Connection): Promise<unknown> => {
    const leaving = {
      routeKey: '$disconnect',
      eventType: 'DISCONNECT',
      disconnectStatusCode: 1005,
      disconnectReason: '',
    };
    return invoke(`${apiName}-connection`, { requestContext: socketContext(apiName, id, leaving, authorizer) });
  };

  return {
    client,
    secretValues,
    posts: management.posts,
    closedConnections: management.closed,
    ecsCalls: ecs.calls,
    ecsFault: ecs.fault,
    invoke,
    http,
    connect,
    send,
    disconnect,
    bootstrap: async (tenantId: string, userId = 'ada', modelVendors: readonly string[] = []) =>
      Bootstrapped.parse(await invoke('bootstrap-tenant', { tenantId, userId, modelVendors })),
    stop: async () => {
      client.destroy();
      await Promise.all([
        dynamodb.dynamodb.stop(),
        s3.stop(),
        secrets.stop(),
        closed(management.server),
        closed(ecs.server),
      ]);
      await rm(dir, { recursive: true, force: true });
    },
  };
};
/** The tenant whose tests register builds. */
const OPERATOR = 'acme';
export type ControlPlane = Awaited<ReturnType<typeof startControlPlane>>;

/** A registered build and a started shell session; the runner's one-use token as ECS got it. */
export const startedShell = async (plane: ControlPlane, token: string) => {
  await plane.http('POST', '/api/builds', {
    token,
    body: { buildId: 'shell-1', spec: 'shell@5.2', taskDefinitionArn: 'arn:td:1', runnerVersion: '0.1.0' },
  });
  const started = await plane.http('POST', '/api/sessions', {
    token,
    body: { provider: 'shell', repository: { url: '/srv/app' }, prompt: 'echo SECRET-PROMPT' },
  });
  const Started = z.object({ sessionId: z.string() });
  const RunTask = z.object({
    overrides: z.object({
      containerOverrides: z.array(
        z.object({ environment: z.array(z.object({ name: z.string(), value: z.string() })) }),
      ),
    }),
  });
  const input = RunTask.parse(plane.ecsCalls.filter(({ action }) => action === 'RunTask').at(-1)?.input);
  const runnerToken = input.overrides.containerOverrides[0]?.environment.find(
    ({ name }) => name === 'CONTROL_PLANE_TOKEN',
  )?.value;
  return { sessionId: Started.parse(started.body).sessionId, runnerToken: runnerToken ?? '', started };
};
