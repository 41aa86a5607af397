/** The options of `npm start`, read once; a wrong one is a single line that says what to write. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { WARM_POOL_MAX } from '../../shared/limits.ts';
import { type ChaosSettings, parseChaos } from '../chaos.ts';
import { VillageError } from './village-error.ts';

export const DEFAULT_PORT = 4310;
export const DEFAULT_DATA_DIR = '.village';
const PORT_MAX = 65_535;

export interface VillageOptions {
  readonly port: number;
  /** Absolute. */
  readonly dataDir: string;
  readonly dynamodbEndpoint: string | undefined;
  readonly chaos: ChaosSettings | undefined;
  /** Idle tasks kept for each build that a start without a named one gets. */
  readonly warmPoolSize: number;
  readonly openBrowser: boolean;
}

export const USAGE = `npm start -- [options]
  --port <n>                 port of page, API and WebSockets (${DEFAULT_PORT}; 0 takes a free one)
  --data-dir <folder>        everything the village keeps (${DEFAULT_DATA_DIR})
  --dynamodb-endpoint <url>  another DynamoDB than the embedded one
  --chaos <spec>             seeded faults, such as seed=7,reorder=0.2,duplicate=0.1
  --warm <n>                 idle runners kept ready for each build (0)
  --no-open                  do not open a browser
  --help                     this text`;

const OPTIONS = {
  port: { type: 'string' },
  'data-dir': { type: 'string' },
  'dynamodb-endpoint': { type: 'string' },
  chaos: { type: 'string' },
  warm: { type: 'string' },
  open: { type: 'boolean', default: true },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const parsePort = (text: string): number => {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > PORT_MAX)
    throw new VillageError(`--port ${text}: write a port from 1 to ${PORT_MAX}, or 0 for a free one.`);
  return port;
};

const parseWarm = (text: string): number => {
  const size = Number(text);
  if (!/^\d+$/.test(text) || size > WARM_POOL_MAX)
    throw new VillageError(`--warm ${text}: write a number from 0 to ${WARM_POOL_MAX}.`);
  return size;
};

const parseEndpoint = (text: string): string => {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw new VillageError(`--dynamodb-endpoint ${text}: write an address such as http://127.0.0.1:8000.`);
  return text;
};

const parseFaults = (text: string): ChaosSettings => {
  const parsed = parseChaos(text);
  if (!parsed.ok) throw new VillageError(`--chaos ${parsed.message}`);
  return parsed.settings;
};

const read = (argv: readonly string[]) => {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowNegative: true, strict: true }).values;
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new VillageError(`${line} See: npm start -- --help`);
  }
};

/** @returns `help` when the usage was asked for. Throws VillageError for what does not parse. */
export const parseOptions = (argv: readonly string[], cwd: string): VillageOptions | 'help' => {
  const values = read(argv);
  if (values.help) return 'help';
  return {
    port: values.port === undefined ? DEFAULT_PORT : parsePort(values.port),
    dataDir: resolve(cwd, values['data-dir'] ?? DEFAULT_DATA_DIR),
    dynamodbEndpoint:
      values['dynamodb-endpoint'] === undefined ? undefined : parseEndpoint(values['dynamodb-endpoint']),
    chaos: values.chaos === undefined ? undefined : parseFaults(values.chaos),
    warmPoolSize: values.warm === undefined ? 0 : parseWarm(values.warm),
    openBrowser: values.open,
  };
};
