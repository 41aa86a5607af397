/** What a person does with a village in a browser, told once and tested on every platform mood: calm, and under chaos. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { EventPage } from '../../../shared/http.ts';
import { isFinal, SessionView } from '../../../shared/session.ts';
import { canRecord, ptyRecorder } from '../../fakes/pty-recorder.ts';
import { type TestVillage, until } from '../../fakes/village.ts';
import { databaseOf } from '../../fakes/village-database.ts';
import { expect, test } from './fixtures.ts';
import { pageScreen, screenOf } from './screen.ts';
import { type StoredStream, storedStream } from './stream.ts';

const STORY_TIMEOUT_MS = 120_000;
const END_TIMEOUT_MS = 60_000;

const SCENARIO = {
  turns: [
    {
      steps: [
        { say: 'I change what it says. Übermut 漢字 🚀 é' },
        { write: { path: 'src/greeting.ts', content: "export const greeting = 'hello, village';\n" } },
        { run: 'cat src/greeting.ts && echo made > made.txt' },
        { say: 'The greeting is changed.' },
      ],
    },
  ],
};

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const textOf = (page: Page): Promise<string> =>
  page.evaluate(() => (window as Window & { __village?: { text(): string } }).__village?.text() ?? '');
const sessionIdOf = async (page: Page): Promise<string> => {
  await page.waitForURL(/\/sessions\/ses_/);
  return page.url().split('/').at(-1) ?? '';
};
const viewOf = async (village: TestVillage, sessionId: string): Promise<SessionView> =>
  SessionView.parse((await village.api('GET', `/api/sessions/${sessionId}`)).body);
const eventsOf = async (village: TestVillage, sessionId: string) =>
  EventPage.parse((await village.api('GET', `/api/sessions/${sessionId}/events?limit=1000`)).body).events;
const ended = async (village: TestVillage, sessionId: string): Promise<SessionView> => {
  let last = '';
  return until(
    `the end of ${sessionId}`,
    async () => {
      const view = await viewOf(village, sessionId);
      const events = await eventsOf(village, sessionId);
      last = JSON.stringify([view, ...events.map(({ type, ts, seq }) => `${seq} ${type} ${ts}`)]);
      return isFinal(view.state) ? view : undefined;
    },
    END_TIMEOUT_MS,
    () => `${last}\n${village.taskLogs()}`,
  );
};

/** Everything the session was is stored, and nothing of it is left running or lying about. */
const expectKeptAndClean = async (village: TestVillage, view: SessionView): Promise<void> => {
  const { sessionId } = view;
  const events = await eventsOf(village, sessionId);
  expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: view.head.seq }, (_, index) => index + 1));
  const rseqs = events.flatMap(({ rseq }) => (rseq === undefined || rseq === null ? [] : [rseq]));
  const ofRunner = rseqs.filter((rseq) => rseq > 0);
  expect(ofRunner.length).toBeGreaterThan(0);
  expect(ofRunner).toEqual(ofRunner.map((_rseq, index) => index + 1));
  expect(events.findLast(({ type }) => type === 'usage_tick')).toMatchObject({ final: true });
  const database = databaseOf(village);
  try {
    const rows = await database.items('usage', `T#local#S#${sessionId}`);
    const finals = rows.filter(({ kind }) => kind === 'final');
    expect(finals).toHaveLength(1);
    expect(finals[0]).toMatchObject({ sessionId, epoch: 1, provider: view.provider, quarantined: false });
    expect(finals[0]?.terminalBytes).toBe(view.head.offset);
  } finally {
    database.close();
  }
  await until(
    'the end of its processes',
    () =>
      village.processes().some(({ command }) => !/local\/start\.mjs|dynoxide serve/.test(command)) ? undefined : true,
    30_000,
    () => JSON.stringify(village.processes()),
  );
  const workspaces = join(village.dataDir, 'runner', 'workspaces');
  expect(existsSync(workspaces) ? readdirSync(workspaces) : []).toEqual([]);
  // Folders of tasks go once their processes are gone; Node's own cache of compiled code may lie beside them.
  const taskFolders = () => readdirSync(join(village.root, 'tmp')).filter((name) => name.startsWith('village-'));
  await until(
    'the end of its folders',
    () => (taskFolders().length > 0 ? undefined : true),
    10_000,
    () => taskFolders().join(' '),
  );
};

/** The page's terminal is cell for cell what the recorded bytes draw. */
const expectScreen = async (
  page: Page,
  recorded: Uint8Array,
  { sizes }: Pick<StoredStream, 'sizes'>,
): Promise<void> => {
  const expected = await screenOf(recorded, sizes);
  expect(expected.rows.length).toBeGreaterThan(5);
  await expect.poll(() => pageScreen(page), { timeout: 10_000 }).toEqual(expected);
};

const startClaude = async (page: Page, origin: string, repository: string): Promise<string> => {
  await page.goto(`${origin}/new`);
  await page.getByRole('radio', { name: /Claude Code/ }).check();
  await expect(page.getByLabel('Model')).toHaveValue('scripted');
  await page.getByLabel('Repository').fill(repository);
  await page.getByLabel('Demo scenario').fill(JSON.stringify(SCENARIO));
  await page.getByRole('textbox', { name: 'Prompt' }).fill('Change the greeting');
  await page.getByTestId('start').click();
  return sessionIdOf(page);
};

const claudeStory = (): void => {
  test('Claude Code, started from the form, edits a file: terminal, file and diff are there to see', async ({
    person: page,
    system: { village, claude },
  }) => {
    test.skip(claude === undefined || !canRecord(), 'needs Claude Code in the cache and script(1)');
    test.setTimeout(STORY_TIMEOUT_MS);
    if (claude === undefined) return;
    const repository = village.repository('greeter', { 'src/greeting.ts': "export const greeting = 'hi';\n" });
    const sessionId = await startClaude(page, village.endpoint().url, repository);
    await expect.poll(() => textOf(page), { timeout: END_TIMEOUT_MS }).toContain('The greeting is changed.');
    expect(await textOf(page)).toContain('Übermut 漢字 🚀 é');

    await page.getByTestId('tab-files').click();
    const file = page.locator('[data-testid=file][data-path="src/greeting.ts"]');
    await expect(file).toContainText('+1', { timeout: END_TIMEOUT_MS });
    await file.getByRole('button').click();
    await expect(file.locator('code')).toContainText("export const greeting = 'hi';");
    await expect(file.locator('code')).toContainText("export const greeting = 'hello, village';");
    await expect(page.locator('[data-testid=file][data-path="made.txt"]')).toBeVisible();
    await page.getByTestId('tab-events').click();
    await expect(page.locator('[data-testid=event][data-type=turn_finished]')).toHaveCount(1);

    const view = await ended(village, sessionId);
    await expect(page.getByTestId('session-state').first()).toHaveAttribute('data-state', 'completed');
    expect(view).toMatchObject({ state: 'completed', provider: 'claude_code', reason: { code: 'done' } });
    await expectKeptAndClean(village, view);

    const stream = await storedStream(village, sessionId);
    const recorded = claude.bytes();
    expect(stream.bytes.length).toBe(view.head.offset);
    expect(stream.bytes.length).toBe(recorded.length);
    expect(sha256(stream.bytes)).toBe(sha256(recorded));
    await expectScreen(page, recorded, stream);
    // A page that comes after the end draws the same from what is stored.
    await page.reload();
    await expectScreen(page, recorded, stream);
  });
};

/** Typed without a pause: far more keys than frames may be on their way at once. */
const LONG_TEXT = Array.from({ length: 60 }, (_, index) => `w${index}é`).join('-');

const shellStory = (): void => {
  test('what is typed in the browser reaches bash in order and echoes', async ({
    person: page,
    system: { village },
  }) => {
    test.skip(!canRecord(), 'needs script(1)');
    test.setTimeout(STORY_TIMEOUT_MS);
    const bash = ['/bin/bash', '--noprofile', '--norc', '-i'];
    const recorder = ptyRecorder(join(village.root, 'rec-bash'), bash, join(village.root, 'recordings-bash'));
    await page.goto(`${village.endpoint().url}/new`);
    await page.getByRole('radio', { name: /shell/i }).check();
    await page.getByLabel('Repository').fill(village.repository('typed'));
    await page.getByTestId('start').click();
    const sessionId = await sessionIdOf(page);
    await expect.poll(() => textOf(page), { timeout: END_TIMEOUT_MS }).toMatch(/[#$]\s*$/);
    await expect(page.getByTestId('mode')).toHaveAttribute('data-mode', 'control');
    await page.getByTestId('terminal').click();
    // From here on every byte is written down; the reset makes the screen depend on nothing before.
    await page.keyboard.type(`exec ${recorder.file}\n`);
    await until('the recorder', () =>
      existsSync(join(village.root, 'recordings-bash')) && readdirSync(join(village.root, 'recordings-bash')).length > 0
        ? true
        : undefined,
    );
    await page.keyboard.type("PS1='> '; printf '\\033c'; echo be'gun'\n");
    await expect.poll(() => textOf(page)).toContain('begun');

    await page.keyboard.type(`printf %s '${LONG_TEXT}' | sha256sum\n`);
    await expect.poll(() => textOf(page), { timeout: 20_000 }).toContain(sha256(Buffer.from(LONG_TEXT)));
    await page.keyboard.type("seq 1 400; printf '\\033[1;31mred\\033[0m 漢字 🚀\\n'; echo fin'ished'\n");
    await expect.poll(() => textOf(page), { timeout: 20_000 }).toContain('finished');
    await page.keyboard.type('exit\n');
    const view = await ended(village, sessionId);
    expect(view).toMatchObject({ state: 'completed', provider: 'shell' });
    await expectKeptAndClean(village, view);

    const stream = await storedStream(village, sessionId);
    const recorded = recorder.bytes();
    expect(recorded.length).toBeGreaterThan(LONG_TEXT.length);
    // What was recorded is the end of the stream: before it stands what bash itself wrote, to which nobody listened in.
    const before = stream.bytes.length - recorded.length;
    expect(sha256(stream.bytes.subarray(before))).toBe(sha256(recorded));
    expect(stream.sizes.every(({ offset }) => offset <= before)).toBe(true);
    const size = stream.sizes.at(-1) ?? { cols: 80, rows: 24 };
    await expectScreen(page, recorded, { sizes: [{ ...size, offset: 0 }] });
  });
};

/** Tells both stories; the file that calls it says on which village. */
export const tellStories = (): void => {
  shellStory();
  claudeStory();
};
