import { expect, test } from 'vitest';
import { accountRoutes } from '../../../../functions/api/account-routes.ts';
import { sessionRoutes } from '../../../../functions/api/session-routes.ts';
import { HTTP_ROUTES } from '../../../../infra/topology.ts';
import { controlPlanePorts } from '../../../fakes/control-plane-ports.ts';

test('the api function answers exactly the routes that the topology leads to it', () => {
  const ports = controlPlanePorts();
  const answered = [...Object.keys(accountRoutes({ ...ports, version: '0' })), ...Object.keys(sessionRoutes(ports))];
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
