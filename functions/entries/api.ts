/** HTTP API for people and their programs. */
import { accountRoutes } from '../api/account-routes.ts';
import { sessionRoutes } from '../api/session-routes.ts';
import { platform } from '../aws/platform.ts';
import { type HttpRoute, httpEntry } from '../middleware/http.ts';

let routes: Readonly<Record<string, HttpRoute>> | undefined;

export const handler = httpEntry(() => {
  routes ??= {
    ...accountRoutes({ ...platform(), version: platform().env.VILLAGE_VERSION }),
    ...sessionRoutes(platform()),
  };
  return routes;
});
