/** Where things are: in this checkout, and under the data directory. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export const villageVersion = (): string =>
  z.object({ version: z.string() }).parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))).version;

export const pathsOf = (dataDir: string) => ({
  endpoint: join(dataDir, 'endpoint.json'),
  dynamodb: join(dataDir, 'dynamodb'),
  secrets: join(dataDir, 'secrets.json'),
  s3: join(dataDir, 's3'),
  ecs: join(dataDir, 'ecs'),
  tasks: join(dataDir, 'tasks'),
  streams: join(dataDir, 'streams'),
  builds: join(dataDir, 'builds'),
  runner: join(dataDir, 'runner'),
});
export type Paths = ReturnType<typeof pathsOf>;

/** PATH of tasks: the Node that runs us first, then what the machine has. */
export const taskPath = (env: NodeJS.ProcessEnv): string =>
  [dirname(process.execPath), env.PATH ?? '/usr/local/bin:/usr/bin:/bin'].join(':');
