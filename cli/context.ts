/** What every command gets: where it writes, and the village it talks to (found when first asked for). */
import { type ApiClient, createApiClient } from './api-client.ts';
import { findEndpoint } from './endpoint.ts';
import { createOutput, type Output } from './output.ts';

export interface CommandContext {
  readonly output: Output;
  readonly dataDir: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Throws CliError no_village. */
  api(): ApiClient;
}

export interface GlobalOptions {
  readonly dataDir?: string;
  readonly json?: boolean;
}

export const createContext = (options: GlobalOptions, env: NodeJS.ProcessEnv): CommandContext => ({
  output: createOutput(options.json ?? false),
  dataDir: options.dataDir,
  env,
  api: () => createApiClient(findEndpoint(options.dataDir, env)),
});
