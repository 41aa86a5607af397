import { expect, test } from 'vitest';
import { accountRoutes } from '../../../../functions/api/account-routes.ts';
import { runnerRoutes } from '../../../../functions/api/runner-routes.ts';
import { sessionRoutes } from '../../../../functions/api/session-routes.ts';
import { HTTP_ROUTES } from '../../../../infra/topology.ts';
import { controlPlanePorts } from '../../../fakes/control-plane-ports.ts';

test('the api function answers exactly the routes that the topology leads to it', () => {
  const ports = controlPlanePorts();
  const answered = [
    ...Object.keys(accountRoutes({ ...ports, operatorTenant: undefined, version: '0' })),
    ...Object.keys(runnerRoutes(ports)),
    ...Object.keys(sessionRoutes(ports)),
  ];
  const led = HTTP_ROUTES.filter((route) => route.function === 'api').map(({ method, path }) => `${method} ${path}`);
  expect(answered.sort()).toEqual(led.sort());
});

test('only these routes are open to whoever is not signed in', () => {
  const open = HTTP_ROUTES.filter(({ authorizer }) => authorizer === null).map(
    ({ method, path }) => `${method} ${path}`,
  );
  expect(open.sort()).toEqual([
    'GET /api/health',
    'POST /api/runner/credentials',
    'POST /api/signin',
    'POST /api/signout',
  ]);
});

test.each([
  [undefined, 'cli', 'forbidden'],
  ['other', 'cli', 'forbidden'],
  ['acme', 'browser', 'forbidden'],
  ['acme', 'cli', 'registered'],
])('operator %s: a %s token of acme that registers a build is %s', async (operatorTenant, client, outcome) => {
  const ports = controlPlanePorts();
  const routes = accountRoutes({ ...ports, operatorTenant, version: '0' });
  const asked = routes['POST /api/builds']?.run({
    body: { buildId: 'b1', spec: 'shell@system', taskDefinitionArn: 'arn', runnerVersion: '1' },
    query: undefined,
    params: {},
    headers: {},
    authorizer: { kind: 'user', tenantId: 'acme', userId: 'ada', expSec: 9e9, client },
    requestId: 'r',
  });
  const answered = await asked?.then(
    () => 'registered',
    (error: { code: string }) => error.code,
  );
  expect(answered).toBe(outcome);
  expect(await ports.builds.list()).toHaveLength(outcome === 'registered' ? 1 : 0);
});
