/** Installs pinned CLIs into the folder of a build that lies inside an image: `node install-into.ts <folder> <spec>…`. */
import { symlinkSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import { ProviderId } from '../../shared/providers.ts';
import { installCli } from './install-cli.ts';

/** The folder of a CLI: its program is `<folder>/node_modules/.bin/<bin>`. */
const folderOf = (binPath: string): string => join(binPath, '..', '..', '..');

/**
 * Each CLI comes to lie in `<dir>/<spec>`, with `<dir>/<provider>` as a relative link to it: what the runner looks for in
 * VILLAGE_BUILD_DIR. Resolves with one line for each spec that failed: normally none.
 */
export const installInto = async (
  dir: string,
  specs: readonly string[],
  say: (line: string) => void,
  install: typeof installCli = installCli,
): Promise<string[]> => {
  const failures: string[] = [];
  for (const spec of specs) {
    const [name, version = ''] = spec.split('@');
    const provider = ProviderId.safeParse(name);
    if (!provider.success) {
      failures.push(`"${spec}" names no provider we know`);
      continue;
    }
    const result = await install({ provider: provider.data, version, cacheDir: dir, onProgress: say });
    if (result.kind === 'failed') failures.push(result.message);
    else if (provider.data !== 'shell') symlinkSync(relative(dir, folderOf(result.binPath)), join(dir, provider.data));
  }
  return failures;
};

if (import.meta.main) {
  const [dir = '', ...specs] = process.argv.slice(2);
  if (!isAbsolute(dir)) throw new Error('usage: node install-into.ts <absolute folder> <provider@version>…');
  const failures = await installInto(dir, specs, (line) => console.log(line));
  for (const failure of failures) console.error(failure);
  process.exitCode = failures.length === 0 ? 0 : 1;
}
