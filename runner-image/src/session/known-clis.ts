/** Which CLIs this runner has, for `hello`: read from the build's folder, corrected by what the programs said of themselves. */
import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ProviderId } from '../../../shared/providers.ts';
import { CliVersion } from '../../../shared/releases.ts';
import { detectedVersion } from '../adapters/detect.ts';
import { type CliConfig, cliCandidates } from './cli-files.ts';

const Manifest = z.object({ name: z.string(), version: CliVersion });
/** Folders looked through above a program for the package it belongs to. */
const DEPTH_MAX = 4;

const manifestIn = (folder: string): z.infer<typeof Manifest> | null => {
  try {
    const parsed = Manifest.safeParse(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')));
    return parsed.success ? parsed.data : null;
  } catch {
    // No package begins here.
    return null;
  }
};

/** Every hello asks: only answers that will not change are kept, since a missing CLI may be installed later. */
const installed = new Map<string, string>();

/** Version of the npm package that the program is part of. */
const installedVersion = (file: string): string | null => {
  const known = installed.get(file) ?? readVersion(file);
  if (known !== null) installed.set(file, known);
  return known;
};

const readVersion = (file: string): string | null => {
  let folder: string;
  try {
    folder = dirname(realpathSync(file));
  } catch {
    // The build lacks this CLI.
    return null;
  }
  for (let depth = 0; depth < DEPTH_MAX && folder.includes('/node_modules/'); depth += 1) {
    const manifest = manifestIn(folder);
    if (manifest) return manifest.version;
    folder = dirname(folder);
  }
  return null;
};

/** What is known so far, without running anything: a few small files, so that it never delays `hello`. */
export const knownClis = (config: CliConfig): Partial<Record<ProviderId, string>> => {
  const clis: Partial<Record<ProviderId, string>> = {};
  for (const provider of ProviderId.options) {
    for (const file of cliCandidates(provider, config)) {
      const version = CliVersion.safeParse(detectedVersion(file) ?? installedVersion(file));
      if (!version.success) continue;
      clis[provider] = version.data;
      break;
    }
  }
  return clis;
};
