/** What every step of the start is given, once the data directory is ours. */
import { mkdirSync } from 'node:fs';
import { type Clock, type Random, systemClock, systemRandom } from '../../shared/clock.ts';
import { type Chaos, createChaos } from '../chaos.ts';
import type { PlatformLog } from '../lambda/types.ts';
import { requireFreePort, requireNode } from './checks.ts';
import { removeEndpointFile } from './endpoint-file.ts';
import { type Credentials, loadEnvironment } from './handler-environment.ts';
import { takeLock } from './lock.ts';
import type { VillageOptions } from './options.ts';
import { type Paths, pathsOf } from './paths.ts';
import type { Series } from './series.ts';

export interface VillageContext {
  readonly options: VillageOptions;
  readonly series: Series;
  /** The environment of this process; handlers' variables are written into it. */
  readonly env: NodeJS.ProcessEnv;
  readonly warn: (line: string) => void;
  /** Told when a part ends that should not. */
  readonly onLost: (what: string) => void;
}
export interface Parts extends VillageContext {
  readonly paths: Paths;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly random: Random;
  readonly chaos: Chaos;
  readonly log: PlatformLog;
}

const SECRET_BYTES = 32;
const LOGGED_FIELDS = ['function', 'source', 'schedule', 'errorType', 'path'];

/** Of a failure's fields only those without payload: events carry tokens. */
const platformLog =
  (warn: (line: string) => void): PlatformLog =>
  (message, fields) => {
    const shown = LOGGED_FIELDS.flatMap((name) => (fields[name] === undefined ? [] : [`${name}=${fields[name]}`]));
    const { error } = fields;
    const why = error === undefined ? '' : `: ${error instanceof Error ? error.stack : String(error)}`;
    warn(`${message} ${shown.join(' ')}${why}`);
  };

/** Checks that everything can be started, takes the data directory, and only then touches anything. */
export const prepare = async (context: VillageContext): Promise<Parts> => {
  const { options, series, warn } = context;
  requireNode(process.versions.node);
  await series.step(
    'data directory',
    () => takeLock(options.dataDir),
    (release) => release(),
  );
  if (options.port !== 0) await requireFreePort(options.port);
  const paths = pathsOf(options.dataDir);
  removeEndpointFile(paths.endpoint);
  mkdirSync(paths.runner, { recursive: true, mode: 0o700 });
  const random = systemRandom;
  for (const name of ['AWS_PROFILE', 'AWS_SESSION_TOKEN']) delete context.env[name];
  Object.assign(context.env, loadEnvironment(context.env.LOG_LEVEL ?? 'WARN'));
  return {
    ...context,
    paths,
    credentials: { accessKeyId: `LOCAL${random.hex(8)}`, secretAccessKey: random.hex(SECRET_BYTES) },
    clock: systemClock,
    random,
    chaos: createChaos(options.chaos),
    log: platformLog(warn),
  };
};
