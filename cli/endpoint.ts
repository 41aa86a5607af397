/** Finds the village to talk to: VILLAGE_URL and VILLAGE_TOKEN, or the endpoint.json a local one wrote. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EndpointFile } from '../shared/http.ts';
import { CliError } from './cli-error.ts';

export interface Endpoint {
  /** Origin, without a slash at its end. */
  readonly url: string;
  readonly token: string;
}

const readFile = (path: string): unknown => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new CliError('no_village', `${path} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
};

/** `dataDir` as given on the command line wins over the environment, that over `./.village`. Throws CliError no_village. */
export const findEndpoint = (dataDir: string | undefined, env: NodeJS.ProcessEnv): Endpoint => {
  if (dataDir === undefined && env.VILLAGE_URL) {
    if (!env.VILLAGE_TOKEN) throw new CliError('no_village', 'VILLAGE_URL is set: set VILLAGE_TOKEN too.');
    return { url: env.VILLAGE_URL.replace(/\/+$/, ''), token: env.VILLAGE_TOKEN };
  }
  const path = join(dataDir ?? '.village', 'endpoint.json');
  const content = readFile(path);
  if (content === undefined)
    throw new CliError(
      'no_village',
      `No village is running there (${path} is missing): run npm start, or name its folder with --data-dir.`,
    );
  const parsed = EndpointFile.safeParse(content);
  if (!parsed.success) throw new CliError('no_village', `${path} is not an endpoint file: start the village again.`);
  return { url: parsed.data.url.replace(/\/+$/, ''), token: parsed.data.token };
};
