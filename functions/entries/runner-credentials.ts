/** What a runner may know, for the bearer of a capability. */
import { z } from 'zod';
import { AppError } from '../../shared/errors.ts';
import { platform } from '../aws/platform.ts';
import { httpEntry, route } from '../middleware/http.ts';
import { issueCredentials } from '../runners/issue-credentials.ts';

const ModelKeys = z.looseObject({ anthropic: z.string().optional() });

/** The parser's own error repeats the text, which is a key: it must not reach the log. */
const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('the secret model-keys is not JSON: write {"anthropic": "<key>"}');
  }
};

const modelKey = async (vendor: 'anthropic'): Promise<string | null> => {
  const { readSecret, env } = platform();
  const text = await readSecret(env.SECRET_MODEL_KEYS);
  return text === null || text === '' ? null : (ModelKeys.parse(jsonOf(text))[vendor] ?? null);
};

const routes = {
  'POST /api/runner/credentials': route({
    run: async ({ headers }) => {
      const bearer = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
      if (bearer === undefined) throw new AppError('invalid_credential', 'Send the capability as bearer.');
      return { body: await issueCredentials({ ...platform(), modelKey }, bearer) };
    },
  }),
};

export const handler = httpEntry(() => {
  const { edgeSecret, env } = platform();
  return { routes, edgeSecret, allowedOrigins: env.ALLOWED_ORIGINS };
});
