/** `npm test`: prerequisites, then every kind of test; the last line counts what the runners themselves reported. */
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { add, type Counts, countsLine, NONE, playwrightCounts, vitestCounts } from './run/counts.ts';
import { findPrerequisites, type Prerequisite } from './run/prerequisites.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PROJECTS = ['unit', 'contract', 'integration'] as const;
const STEP_TIMEOUT_MS = 20 * 60_000;
const LONG_STEP_TIMEOUT_MS = 4 * 60 * 60_000;

const isLong = process.argv.includes('--long');
const isCi = Boolean(process.env.CI) && process.env.CI !== 'false';
const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** Runs a test runner, its output passed on as it comes; resolves to its exit code. */
const runTool = (args: readonly string[], env: Readonly<Record<string, string>>): Promise<number> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      env: { ...process.env, ...(isLong ? { VILLAGE_LONG: '1' } : {}), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: isLong ? LONG_STEP_TIMEOUT_MS : STEP_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    const stop = (signal: NodeJS.Signals) => void child.kill(signal);
    process.once('SIGTERM', stop);
    child.stdout.pipe(process.stdout, { end: false });
    child.stderr.pipe(process.stderr, { end: false });
    child.once('error', () => resolve(1));
    child.once('close', (code) => {
      process.off('SIGTERM', stop);
      resolve(code ?? 1);
    });
  });

const readReport = (path: string): unknown => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined; // No report or a broken one: counted as a failure.
  }
};

const runVitest = async (project: string, dir: string): Promise<Counts> => {
  print(`\n== ${project}`);
  const report = join(dir, `${project}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--passWithNoTests', '--project', project, ...reporters];
  const exitCode = await runTool(args, {});
  return vitestCounts(readReport(report), exitCode);
};

const runPlaywright = async (dir: string, prerequisites: readonly Prerequisite[]): Promise<Counts> => {
  const specs = globSync('test/e2e/**/*.spec.ts', { cwd: ROOT });
  if (specs.length === 0) return NONE;
  print('\n== browser');
  if (prerequisites.some(({ name, missing }) => name === 'chromium' && missing !== undefined)) {
    print(`skipped: ${specs.length} files of browser tests need chromium`);
    return { ...NONE, skipped: specs.length };
  }
  const report = join(dir, 'browser.json');
  const args = ['node_modules/@playwright/test/cli.js', 'test', '--config', 'test/e2e/playwright.config.ts'];
  const exitCode = await runTool([...args, '--reporter=line,json'], { PLAYWRIGHT_JSON_OUTPUT_FILE: report });
  return playwrightCounts(readReport(report), exitCode);
};

/** Says what is missing; with CI set each one not listed in test/optional.json is a failure. */
const judge = (prerequisites: readonly Prerequisite[]): number => {
  const path = new URL('optional.json', import.meta.url);
  const optional = z.record(z.string(), z.string().min(1)).parse(JSON.parse(readFileSync(path, 'utf8')));
  let failures = 0;
  for (const { name, missing } of prerequisites) {
    const reason = optional[name];
    if (missing === undefined) print(`${name}: ok`);
    else if (reason !== undefined) print(`${name}: absent, optional (${reason})`);
    else {
      print(`${name}: missing (${missing})${isCi ? '' : '; tests that need it are skipped'}`);
      if (isCi) failures += 1;
    }
  }
  return failures;
};

const main = async (): Promise<number> => {
  print('== prerequisites');
  const prerequisites = await findPrerequisites(print);
  let counts: Counts = { ...NONE, failed: judge(prerequisites) };
  const dir = mkdtempSync(join(tmpdir(), 'village-test-'));
  try {
    for (const project of PROJECTS) counts = add(counts, await runVitest(project, dir));
    counts = add(counts, await runPlaywright(dir, prerequisites));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  print(`\n${countsLine(counts)}`);
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1;
};

process.exitCode = await main();
