/** What a runner that waits for sessions does meanwhile, so that a start waits for nothing that could have been done before. */
import { mkdir } from 'node:fs/promises';
import { TERMINAL_DEFAULT } from '../../../shared/limits.ts';
import { ProviderId } from '../../../shared/providers.ts';
import type { Adapter } from '../adapters/contract.ts';
import type { RunnerConfig } from '../config.ts';
import type { Log } from '../log.ts';
import { findCli } from '../session/cli-files.ts';
import { screenModel } from '../stream/screen-model.ts';

/** Code that has run once runs sooner: the first screen of a process takes several times as long as the next. */
const warmScreen = async (): Promise<void> => {
  const screen = screenModel(TERMINAL_DEFAULT);
  await screen.write('\x1b[1mready\x1b[0m\r\n');
  screen.snapshot();
  screen.dispose();
};

/** Asks every CLI there is for its version, all at once: `hello` names them, and a start asks no more. Never rejects. */
export const prepareAhead = async (
  config: RunnerConfig,
  adapters: Readonly<Record<ProviderId, Adapter>>,
  log: Log,
): Promise<void> => {
  const detect = async (provider: ProviderId): Promise<void> => {
    const file = await findCli(provider, config);
    if (file === null) return;
    const found = await adapters[provider].detect(file);
    if (found.kind === 'found') log.info('CLI found', { provider, version: found.version });
    else log.warn('a CLI does not answer', { provider, reason: found.reason, hint: found.hint });
  };
  const results = await Promise.allSettled([
    mkdir(config.WORKSPACE_ROOT, { recursive: true, mode: 0o700 }),
    warmScreen(),
    ...ProviderId.options.map(detect),
  ]);
  for (const result of results)
    if (result.status === 'rejected') log.warn('something could not be prepared ahead', { error: result.reason });
};
