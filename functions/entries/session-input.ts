/** Input over HTTP, apart from the rest of the API: each call waits for its runner. */
import { inputRoute } from '../api/session-routes.ts';
import { platform } from '../aws/platform.ts';
import { httpEntry } from '../middleware/http.ts';

export const handler = httpEntry(() => {
  const ports = platform();
  const { edgeSecret, env } = ports;
  return {
    routes: { 'POST /api/sessions/{id}/input': inputRoute(ports) },
    edgeSecret,
    allowedOrigins: env.ALLOWED_ORIGINS,
  };
});
