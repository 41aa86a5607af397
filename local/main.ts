/** `npm start`: the whole village on this machine, until Ctrl-C. */
import { systemClock } from '../shared/clock.ts';
import { PortTakenError } from './gateway/server.ts';
import { hasDisplay, openBrowser } from './village/browser.ts';
import { parseOptions, USAGE, type VillageOptions } from './village/options.ts';
import { SeriesStopped, startSeries } from './village/series.ts';
import { startVillage } from './village/start-village.ts';
import { VillageError } from './village/village-error.ts';

const EXIT_FORCED = 130;

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const warn = (line: string): void => void process.stderr.write(`${line}\n`);

/** One line for what a person can change, everything for what is our fault. */
const explain = (error: unknown): string => {
  if (error instanceof VillageError || error instanceof PortTakenError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
};

const readOptions = (): VillageOptions | undefined => {
  try {
    const options = parseOptions(process.argv.slice(2), process.cwd());
    if (options !== 'help') return options;
    print(USAGE);
  } catch (error) {
    warn(explain(error));
    process.exitCode = 1;
  }
  return undefined;
};

const run = async (options: VillageOptions): Promise<void> => {
  const series = startSeries({ clock: systemClock, print, warn });
  const end = Promise.withResolvers<number>();
  const onSignal = (): void => {
    // The first asks for an orderly end, the second does not wait for it: children die with us in any case.
    if (isEnding) process.exit(EXIT_FORCED);
    isEnding = true;
    print('stopping (again: at once)');
    end.resolve(0);
  };
  let isEnding = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  process.stdout.on('error', () => {}); // A reader that left (`npm start | head`) must not end the sessions.
  const onLost = (what: string): void => {
    warn(`${what}: the village stops; start it again, its data is kept.`);
    end.resolve(1);
  };
  const starting = startVillage({ options, series, env: process.env, warn, onLost });
  starting.then(
    ({ url, signInUrl }) => {
      print(`\nThe village is ready at ${url}\nSign in (once, within 10 minutes): ${signInUrl}\n`);
      if (options.openBrowser && hasDisplay(process.env)) openBrowser(signInUrl);
    },
    (error: unknown) => {
      if (!(error instanceof SeriesStopped)) warn(explain(error));
      end.resolve(isEnding ? 0 : 1);
    },
  );
  const exitCode = await end.promise;
  await series.stop();
  // A step that was under way when the stop came is stopped by the series too; only then nothing is left.
  await starting.catch(() => {});
  process.exit(exitCode);
};

const options = readOptions();
if (options !== undefined) await run(options);
