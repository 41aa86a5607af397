/** HTTP API for people and their programs. */
import { accountRoutes } from '../api/account-routes.ts';
import { runnerRoutes } from '../api/runner-routes.ts';
import { sessionRoutes } from '../api/session-routes.ts';
import { platform } from '../aws/platform.ts';
import { type HttpRoute, httpEntry } from '../middleware/http.ts';

let routes: Readonly<Record<string, HttpRoute>> | undefined;

export const handler = httpEntry(() => {
  const ports = platform();
  routes ??= {
    ...accountRoutes({ ...ports, version: ports.env.VILLAGE_VERSION, operatorTenant: ports.env.OPERATOR_TENANT }),
    ...runnerRoutes(ports),
    ...sessionRoutes(ports),
  };
  return { routes, edgeSecret: ports.edgeSecret, allowedOrigins: ports.env.ALLOWED_ORIGINS };
});
