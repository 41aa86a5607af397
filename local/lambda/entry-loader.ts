/** Finds the handler of an entry on disk, and says so clearly where there is none. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { LambdaHandler, LoadEntry } from './types.ts';

const isHandler = (value: unknown): value is LambdaHandler => typeof value === 'function';

/** Loads entries below `rootDir`; throws where the module cannot be loaded or exports no function `handler`. */
export const entryLoader =
  (rootDir: string): LoadEntry =>
  async (entry) => {
    const module: unknown = await import(pathToFileURL(resolve(rootDir, entry)).href);
    const handler = typeof module === 'object' && module !== null && 'handler' in module ? module.handler : undefined;
    if (!isHandler(handler)) throw new Error(`${entry} exports no function "handler".`);
    return { handler };
  };
