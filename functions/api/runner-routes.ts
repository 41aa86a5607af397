/** Routes about runners: what there is, and the tenant's own: register, drain, revoke. */
import { AppError } from '../../shared/errors.ts';
import { EmptyBody, ListRunnersQuery, RegisterRunnerBody } from '../../shared/http.ts';
import { RunnerId } from '../../shared/ids.ts';
import { type AuthorizerContext, type HttpRoute, route } from '../middleware/http.ts';
import { idempotencyKeyOf } from '../middleware/idempotency.ts';
import { userOf } from '../middleware/users.ts';
import { drainRunner, type EndPorts, revokeRunner } from '../runners/end-runner.ts';
import type { HostRef } from '../runners/host-store.ts';
import { type RegisterPorts, registerRunner } from '../runners/register-runner.ts';
import type { RunnerStore } from '../runners/runner-store.ts';

export interface RunnerRoutePorts extends RegisterPorts, EndPorts {
  readonly db: EndPorts['db'];
  readonly clock: EndPorts['clock'];
  readonly runnerStore: RunnerStore;
}

/** The tenant comes from the caller, never from the path. */
const hostRefOf = (authorizer: AuthorizerContext, id: string | undefined): HostRef => {
  const { tenantId } = userOf(authorizer);
  const runnerId = RunnerId.safeParse(id);
  if (!runnerId.success) throw new AppError('not_found', 'There is no such runner.');
  return { tenantId, runnerId: runnerId.data };
};

export const runnerRoutes = (ports: RunnerRoutePorts): Record<string, HttpRoute> => ({
  'GET /api/runners': route({
    query: ListRunnersQuery,
    run: async ({ authorizer, query: { limit, cursor } }) => {
      const page = { limit, ...(cursor === undefined ? {} : { cursor }) };
      return { body: await ports.runnerStore.list(userOf(authorizer).tenantId, page) };
    },
  }),
  'POST /api/runners/registrations': route({
    body: RegisterRunnerBody,
    run: async ({ body, authorizer, headers }) => {
      const { tenantId, userId } = userOf(authorizer);
      const registrar = { tenantId, userId, idempotencyKey: idempotencyKeyOf(headers) };
      return { status: 201, body: await registerRunner(ports, registrar, body) };
    },
  }),
  'POST /api/runners/{id}/drain': route({
    body: EmptyBody,
    run: async ({ authorizer, params }) => ({
      status: 202,
      body: { runner: await drainRunner(ports, hostRefOf(authorizer, params.id)) },
    }),
  }),
  'DELETE /api/runners/{id}': route({
    run: async ({ authorizer, params }) => ({
      body: { runner: await revokeRunner(ports, hostRefOf(authorizer, params.id)) },
    }),
  }),
});
