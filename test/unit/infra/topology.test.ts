import { describe, expect, it } from 'vitest';
import { pascal } from '../../../infra/constructs/logical-id.ts';
import { filterPattern } from '../../../infra/constructs/stream-triggers.ts';
import {
  BUCKETS,
  EVENT_RULES,
  FUNCTIONS,
  HTTP_ROUTES,
  SCHEDULES,
  SECRETS,
  STREAM_TRIGGERS,
  TABLES,
  WEBSOCKET_APIS,
} from '../../../infra/topology.ts';
import { type Resource, template, withoutHash } from './cell.ts';

const cell = template();
/** Logical ids without hash, sorted: what there is of one kind, nothing left out. */
const idsOf = (type: string): string[] =>
  cell
    .of(type)
    .map(([id]) => withoutHash(id))
    .sort();
const one = (type: string, id: string): Resource => {
  const found = cell.of(type).filter(([logicalId]) => withoutHash(logicalId) === id);
  expect(found.map(([logicalId]) => withoutHash(logicalId))).toEqual([id]);
  const [, resource] = found[0] ?? [];
  if (resource === undefined) throw new Error(`no ${type} ${id}`);
  return resource;
};

describe('every part of the topology is there once, and nothing beyond', () => {
  it.each([
    ['AWS::DynamoDB::Table', TABLES.map(({ name }) => `Tables${pascal(name)}`)],
    ['AWS::S3::Bucket', [...BUCKETS.map(({ name }) => `Buckets${pascal(name)}`), 'AccessLogsBucket']],
    ['AWS::SecretsManager::Secret', SECRETS.map(({ name }) => `Secrets${pascal(name)}`)],
    ['AWS::Lambda::Function', FUNCTIONS.map(({ name }) => `Functions${pascal(name)}Function`)],
    ['AWS::ApiGatewayV2::Api', ['HttpApi', ...WEBSOCKET_APIS.map(({ name }) => `${pascal(name)}SocketApi`)]],
    ['AWS::Events::Rule', EVENT_RULES.map(({ name }) => `Rules${pascal(name)}Rule`)],
    ['AWS::Scheduler::Schedule', SCHEDULES.map(({ name }) => `Schedules${pascal(name)}Schedule`)],
    [
      'AWS::Lambda::EventSourceMapping',
      STREAM_TRIGGERS.map((one) => `Streams${pascal(one.table)}To${pascal(one.function)}Mapping`),
    ],
    ['AWS::ECS::TaskDefinition', ['RunnerDefinition']],
    ['AWS::ECS::Cluster', ['RunnerCluster']],
    ['AWS::CloudFront::Distribution', ['EdgeDistribution']],
  ])('%s', (type, expected) => {
    expect(idsOf(type)).toEqual(expected.map(withoutHash).sort());
  });

  it('HTTP routes, with their functions and authorizers', () => {
    const routes = cell
      .of('AWS::ApiGatewayV2::Route')
      .filter(([id]) => id.startsWith('Http'))
      .map(([, { Properties }]) => {
        const named = withoutHash(JSON.stringify(Properties).replaceAll('"', ' '));
        return {
          key: Properties.RouteKey,
          function: /Http(\w+?)Integration/.exec(named)?.[1],
          authorizer: /Http(\w+?)Authorizer/.exec(named)?.[1] ?? null,
          type: Properties.AuthorizationType,
        };
      });
    const expected = HTTP_ROUTES.map((route) => ({
      key: `${route.method} ${route.path}`,
      function: pascal(route.function),
      authorizer: route.authorizer === null ? null : pascal(route.authorizer),
      type: route.authorizer === null ? 'NONE' : 'CUSTOM',
    }));
    const byKey = (a: { key: unknown }, b: { key: unknown }) => String(a.key).localeCompare(String(b.key));
    expect(routes.sort(byKey)).toEqual(expected.sort(byKey));
  });

  it('is open on these HTTP routes only', () => {
    const openRoutes = cell
      .of('AWS::ApiGatewayV2::Route')
      .filter(([id, { Properties }]) => id.startsWith('Http') && Properties.AuthorizationType === 'NONE')
      .map(([, { Properties }]) => Properties.RouteKey);
    expect(openRoutes.sort()).toEqual([
      'GET /api/health',
      'POST /api/runner/credentials',
      'POST /api/signin',
      'POST /api/signout',
    ]);
  });

  it.each(WEBSOCKET_APIS.map((spec) => [spec.name, spec] as const))('WebSocket API %s', (name, spec) => {
    const prefix = `${pascal(name)}Socket`;
    const routes = cell.of('AWS::ApiGatewayV2::Route').filter(([id]) => id.startsWith(prefix));
    const expectedRoutes = spec.routes.map(({ key, routeResponse }) => ({
      key,
      authorization: key === '$connect' ? 'CUSTOM' : 'NONE',
      response: routeResponse ? '$default' : undefined,
    }));
    expect(
      routes.map(([, { Properties }]) => ({
        key: Properties.RouteKey,
        authorization: Properties.AuthorizationType,
        response: Properties.RouteResponseSelectionExpression,
      })),
    ).toEqual(expect.arrayContaining(expectedRoutes));
    expect(routes).toHaveLength(spec.routes.length);
    for (const route of spec.routes) {
      const [, found] = routes.find(([, { Properties }]) => Properties.RouteKey === route.key) ?? [];
      expect(JSON.stringify(found?.Properties.Target)).toContain(`${prefix}${pascal(route.function)}Integration`);
      const integration = one('AWS::ApiGatewayV2::Integration', `${prefix}${pascal(route.function)}Integration`);
      expect(JSON.stringify(integration.Properties.IntegrationUri)).toContain(`Functions${pascal(route.function)}`);
    }
    expect(idsOf('AWS::ApiGatewayV2::RouteResponse').filter((id) => id.startsWith(prefix))).toHaveLength(
      spec.routes.filter(({ routeResponse }) => routeResponse).length,
    );
    expect(one('AWS::ApiGatewayV2::Api', `${prefix}Api`).Properties).toMatchObject({
      ProtocolType: 'WEBSOCKET',
      RouteSelectionExpression: spec.routeSelectionExpression,
    });
    expect(one('AWS::ApiGatewayV2::Authorizer', `${prefix}Authorizer`).Properties).toMatchObject({
      AuthorizerType: 'REQUEST',
      IdentitySource: [spec.identitySource],
      Name: spec.authorizer,
    });
    expect(one('AWS::ApiGatewayV2::Stage', `${prefix}Stage`).Properties.DefaultRouteSettings).toMatchObject({
      ThrottlingRateLimit: spec.throttle.ratePerSecond,
      ThrottlingBurstLimit: spec.throttle.burst,
      DataTraceEnabled: false,
    });
  });

  it.each(EVENT_RULES.map((spec) => [spec.name, spec] as const))('event rule %s', (name, spec) => {
    const { Properties } = one('AWS::Events::Rule', `Rules${pascal(name)}Rule`);
    expect(Properties.EventPattern).toMatchObject({ source: [spec.source], 'detail-type': [spec.detailType] });
    expect(withoutHash(JSON.stringify(Properties.EventPattern).replaceAll('"', ' '))).toContain('RunnerCluster');
    expect(Properties.Targets).toMatchObject([{ Id: spec.function, DeadLetterConfig: {}, RetryPolicy: {} }]);
    expect(JSON.stringify(Properties.Targets)).toContain(`Functions${pascal(spec.function)}`);
  });

  it.each(SCHEDULES.map((spec) => [spec.name, spec] as const))('schedule %s', (name, spec) => {
    const { Properties } = one('AWS::Scheduler::Schedule', `Schedules${pascal(name)}Schedule`);
    expect(Properties.ScheduleExpression).toBe('rate(1 minute)');
    expect(spec.everyMs).toBe(60_000);
    expect(JSON.stringify(Properties.Target)).toContain(`Functions${pascal(spec.function)}`);
    expect(Properties.Target).toMatchObject({ DeadLetterConfig: {} });
  });

  it.each(STREAM_TRIGGERS.map((spec) => [spec.table, spec] as const))('stream of %s', (table, spec) => {
    const id = `Streams${pascal(table)}To${pascal(spec.function)}Mapping`;
    const { Properties } = one('AWS::Lambda::EventSourceMapping', id);
    expect(Properties).toMatchObject({
      BatchSize: spec.batchSize,
      BisectBatchOnFunctionError: true,
      DestinationConfig: { OnFailure: {} },
    });
    expect(JSON.stringify(Properties.EventSourceArn)).toContain(`Tables${pascal(table)}`);
    expect(JSON.stringify(Properties.FunctionName)).toContain(`Functions${pascal(spec.function)}`);
    expect(Properties).toMatchObject({
      MaximumRetryAttempts: spec.retries,
      MaximumRecordAgeInSeconds: spec.maxRecordAgeMs / 1_000,
      FilterCriteria: { Filters: [{ Pattern: filterPattern(spec) }] },
    });
    expect(spec.retries).toBeGreaterThan(0);
  });

  it('only what the stream of the sessions says of a suspended session costs an invocation', () => {
    const spec = STREAM_TRIGGERS.find((one) => one.table === 'sessions');
    expect(JSON.parse(filterPattern(spec ?? { changes: [] }))).toEqual({
      eventName: ['MODIFY'],
      dynamodb: { NewImage: { sk: { S: ['META'] }, isSuspended: { BOOL: [true] } } },
    });
  });

  it('stays well below the 500 resources of a stack', () => {
    expect(Object.keys(cell.resources).length).toBeLessThan(400);
  });
});
