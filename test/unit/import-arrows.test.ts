/** The arrows of the architecture are lint rules: a planted import that breaks one must fail, or the rule guards nothing. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';

const ROOT = join(import.meta.dirname, '../..');
const Report = z.object({ diagnostics: z.array(z.object({ category: z.string(), location: z.unknown() })) });

/** A folder with our rules and nothing of ours in it but `files`, each importing what it is mapped to. */
const plant = async (dir: string, files: ReadonlyMap<string, string>): Promise<void> => {
  const rules = z.record(z.string(), z.unknown()).parse(JSON.parse(await readFile(join(ROOT, 'biome.json'), 'utf8')));
  await writeFile(join(dir, 'biome.json'), JSON.stringify({ ...rules, vcs: { enabled: false } }));
  for (const [file, imported] of files) {
    await mkdir(dirname(join(dir, file)), { recursive: true });
    await writeFile(join(dir, file), `import { planted } from '${imported}';\n\nexport const value = planted();\n`);
  }
};

/** @returns where biome found a forbidden import, as text */
const lint = (dir: string): Promise<string[]> =>
  new Promise((resolve, reject) => {
    const args = ['lint', '--only=style/noRestrictedImports', '--reporter=json', '--max-diagnostics=none', '.'];
    execFile(join(ROOT, 'node_modules/.bin/biome'), args, { cwd: dir, timeout: 30_000 }, (error, stdout) => {
      /** A finding is an exit code, too: only an answer that is no report is an error. */
      const json = stdout.slice(stdout.indexOf('{'));
      if (json === '') return reject(error ?? new Error('biome said nothing'));
      const { diagnostics } = Report.parse(JSON.parse(json));
      resolve(
        diagnostics
          .filter(({ category }) => category === 'lint/style/noRestrictedImports')
          .map(({ location }) => JSON.stringify(location)),
      );
    });
  });

const FORBIDDEN: readonly (readonly [file: string, imported: string])[] = [
  ['shared/planted.ts', '../functions/database.ts'],
  ['shared/planted.ts', '@aws-sdk/client-s3'],
  ['shared/planted.ts', 'node:fs'],
  ['functions/sessions/planted.ts', '@aws-sdk/client-dynamodb'],
  ['functions/sessions/planted.ts', '../aws/platform.ts'],
  ['functions/sessions/planted.ts', '../entries/api.ts'],
  ['functions/streams/planted.ts', '../../infra/topology.ts'],
  ['functions/streams/planted.ts', '../../local/chaos.ts'],
  ['functions/entries/planted.ts', '../../local/chaos.ts'],
  ['functions/entries/planted.ts', '../../infra/topology.ts'],
  ['functions/aws/planted.ts', '../../runner-image/src/main.ts'],
  ['functions/aws/planted.ts', '../../test/fakes/memory-database.ts'],
  ['runner-image/src/planted.ts', '@aws-sdk/client-s3'],
  ['runner-image/src/planted.ts', '../../functions/database.ts'],
  ['runner-image/src/planted.ts', '../../local/chaos.ts'],
  ['web/src/planted.ts', '../../functions/database.ts'],
  ['web/src/planted.ts', '@aws-sdk/client-s3'],
  ['cli/planted.ts', '../functions/database.ts'],
  ['cli/planted.ts', '../runner-image/src/main.ts'],
  ['infra/planted.ts', '../functions/database.ts'],
  ['infra/planted.ts', '../local/chaos.ts'],
  ['local/planted.ts', '../runner-image/src/main.ts'],
  ['local/planted.ts', '../functions/aws/platform.ts'],
  ['local/planted.ts', '../web/src/main.tsx'],
];
const ALLOWED: readonly (readonly [file: string, imported: string])[] = [
  ['shared/planted.ts', 'zod'],
  ['shared/planted.ts', './limits.ts'],
  ['functions/sessions/planted.ts', '../../shared/limits.ts'],
  ['functions/sessions/planted.ts', '../database.ts'],
  ['functions/entries/planted.ts', '../aws/platform.ts'],
  ['functions/aws/planted.ts', '@aws-sdk/client-s3'],
  ['runner-image/src/planted.ts', '../../shared/limits.ts'],
  ['web/src/planted.ts', '../../shared/limits.ts'],
  ['cli/planted.ts', '../shared/limits.ts'],
  ['infra/planted.ts', '../shared/limits.ts'],
  ['local/planted.ts', '../infra/topology.ts'],
];
/** Each import in a file of its own. */
const fileOf = (file: string, imported: string) =>
  file.replace('planted', `planted-${imported.replaceAll(/[^\w]+/g, '-')}`);

describe('imports', () => {
  let dir = '';
  let found: string[] = [];
  const isFound = (file: string, imported: string) =>
    found.some((location) => location.includes(fileOf(file, imported)));
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'village-arrows-'));
    await plant(dir, new Map([...FORBIDDEN, ...ALLOWED].map(([file, imported]) => [fileOf(file, imported), imported])));
    found = await lint(dir);
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  test.each(FORBIDDEN)('%s must not import %s', (file, imported) => {
    expect(isFound(file, imported)).toBe(true);
  });

  test.each(ALLOWED)('%s may import %s', (file, imported) => {
    expect(isFound(file, imported)).toBe(false);
  });
});
