/** Where each provider's program lies: named by configuration, or in the build's folder of pinned CLIs. */
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProviderId } from '../../../shared/providers.ts';
import type { RunnerConfig } from '../config.ts';

export type CliConfig = Pick<RunnerConfig, 'CLAUDE_CODE_PATH' | 'CODEX_PATH' | 'GEMINI_PATH' | 'VILLAGE_BUILD_DIR'>;

const CLIS: Readonly<Record<ProviderId, { bin: string; configured: (config: CliConfig) => string | undefined }>> = {
  claude_code: { bin: 'claude', configured: (config) => config.CLAUDE_CODE_PATH },
  codex: { bin: 'codex', configured: (config) => config.CODEX_PATH },
  gemini_cli: { bin: 'gemini', configured: (config) => config.GEMINI_PATH },
  omnara: { bin: 'omnara', configured: () => undefined },
  shell: { bin: 'bash', configured: () => '/bin/bash' },
};

/** The files a provider's program may be, in order. */
export const cliCandidates = (provider: ProviderId, config: CliConfig): string[] => {
  const { bin, configured } = CLIS[provider];
  const named = configured(config);
  if (named !== undefined) return [named];
  const folder = config.VILLAGE_BUILD_DIR;
  if (folder === undefined) return [];
  return [
    join(folder, 'bin', bin),
    join(folder, provider, 'node_modules', '.bin', bin),
    join(folder, 'node_modules', '.bin', bin),
  ];
};

/** The first candidate that can be executed; `null` when the build lacks this CLI. */
export const findCli = async (provider: ProviderId, config: CliConfig): Promise<string | null> => {
  for (const file of cliCandidates(provider, config)) {
    const isThere = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  return null;
};
