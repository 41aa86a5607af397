/** The terminal in a real browser: exact under reorder, duplicates and cuts; types only when it leads; answers no queries. */
import type { TranscriptChunk } from '../../../shared/http.ts';
import { mockId, mockSession } from '../mock/mock-data.ts';
import type { MockVillage } from '../mock/mock-village.ts';
import { expect, test } from './fixtures.ts';
import { framesOf, record, recorded, terminalSize, terminalText } from './terminal-page.ts';

const SESSION = mockId('ses', 1);
const open = async (page: import('@playwright/test').Page, village: MockVillage) => {
  village.add(mockSession(1));
  await page.goto(`/sessions/${SESSION}`);
  await expect(page.getByTestId('mode')).toBeVisible();
};
const inputs = (village: MockVillage) =>
  village.frames.flatMap((frame) => (frame.type === 'input' ? [frame.data] : []));
const attaches = (village: MockVillage) => village.frames.flatMap((frame) => (frame.type === 'attach' ? [frame] : []));

test('shows the same bytes whatever order and however often frames come', async ({ page, village }) => {
  await record(page);
  await open(page, village);
  const texts = Array.from({ length: 40 }, (_, line) => `line ${line} é█🚀\r\n`);
  const frames = framesOf(1, texts);
  const arrival = [...frames.keys()].sort((a, b) => ((a * 17) % 41) - ((b * 17) % 41));
  for (const index of [...arrival, ...arrival.slice(0, 9)]) village.send(SESSION, frames[index]);
  await expect.poll(() => recorded(page)).toBe(texts.join(''));
  await expect.poll(() => terminalText(page)).toContain('line 39 é█🚀');
});

test('keys reach the village in order and once; queries from a program are answered by nobody here', async ({
  page,
  village,
}) => {
  await open(page, village);
  const queries =
    '\u001b[c\u001b[>c\u001b[6n\u001b[?6n\u001b[5n\u001b[?1$p\u001bP$qm\u001b\\\u001b]11;?\u0007\u001b]10;?\u001b\\\u001b[18t\u001b[>q\u001b[?u';
  for (const frame of framesOf(1, [`${queries}ready`])) village.send(SESSION, frame);
  await expect.poll(() => terminalText(page)).toBe('ready');
  await page.getByTestId('terminal').click();
  await page.keyboard.type('echo hi');
  await page.keyboard.press('Enter');
  await expect.poll(() => inputs(village).join('')).toBe('echo hi\r');
  const sequence = village.frames.flatMap((frame) => (frame.type === 'input' ? [frame.inputSeq] : []));
  expect(sequence).toEqual(sequence.map((_, index) => index + 1));
});

test('whoever gets the keyboard types at once: no key is taken for a shortcut of the page', async ({
  page,
  village,
}) => {
  await open(page, village);
  await expect(page.getByTestId('mode')).toHaveAttribute('data-mode', 'control');
  await page.keyboard.type('nl?');
  await expect.poll(() => inputs(village).join('')).toBe('nl?');
  expect(page.url()).toContain(SESSION);
});

test('before the keyboard is given, a key does not leave the page either', async ({ page, village }) => {
  village.others.push({ sessionId: SESSION, viewerId: 'other', userId: 'grace', device: '' });
  village.controllerId = 'other';
  await open(page, village);
  await page.keyboard.type('nl');
  await expect(page.getByTestId('mode')).toContainText('grace types');
  expect(page.url()).toContain(SESSION);
});

test('a cut shows a banner, then the terminal goes on from its own address', async ({ page, village, complaints }) => {
  await record(page);
  await open(page, village);
  const frames = framesOf(1, ['before\r\n', 'lost in the cut\r\n', 'after\r\n']);
  village.send(SESSION, frames[0]);
  await expect.poll(() => terminalText(page)).toContain('before');
  village.refuseSockets = true;
  village.cut();
  await expect(page.getByTestId('reconnect-banner')).toContainText('What you type is kept');
  const before = attaches(village).length;
  village.refuseSockets = false;
  await expect.poll(() => attaches(village).length, { timeout: 20_000 }).toBeGreaterThan(before);
  expect(attaches(village).at(-1)?.from).toEqual({ epoch: 1, offset: 8 });
  await expect(page.getByTestId('reconnect-banner')).toHaveCount(0);
  for (const frame of frames) village.send(SESSION, frame);
  await expect.poll(() => recorded(page)).toBe('before\r\nlost in the cut\r\nafter\r\n');
  complaints.splice(0);
});

test('a hole is asked for again from where the terminal stands', async ({ page, village }) => {
  await open(page, village);
  const frames = framesOf(1, ['one ', 'two ', 'three']);
  village.send(SESSION, frames[0]);
  village.send(SESSION, frames[2]);
  await expect.poll(() => attaches(village).at(-1)?.from).toEqual({ epoch: 1, offset: 4 });
  village.send(SESSION, frames[1]);
  await expect.poll(() => terminalText(page)).toBe('one two three');
});

test('a watcher types nothing until it takes a keyboard that nobody has', async ({ page, village }) => {
  village.controllerId = 'gone';
  village.controlTerm = 4;
  await open(page, village);
  await expect(page.getByTestId('mode')).toHaveAttribute('data-mode', 'watch');
  await page.getByTestId('terminal').click();
  await page.keyboard.type('no');
  await page.getByTestId('take-over').click();
  await expect(page.getByTestId('mode')).toHaveAttribute('data-mode', 'control');
  await page.keyboard.type('yes');
  await expect.poll(() => inputs(village).join('')).toBe('yes');
  expect(village.frames.filter((frame) => frame.type === 'input').every((frame) => frame.controlTerm === 5)).toBe(true);
});

test('a phone that watches shrinks its letters and resizes nobody', async ({ page, village }) => {
  await page.setViewportSize({ width: 390, height: 800 });
  await open(page, village);
  await expect(page.getByTestId('mode')).toHaveAttribute('data-mode', 'watch');
  for (const frame of framesOf(1, ['wide'], { cols: 90, rows: 30 })) village.send(SESSION, frame);
  await expect.poll(() => terminalSize(page)).toMatchObject({ cols: 90, rows: 30 });
  await expect.poll(async () => (await terminalSize(page)).fontPx).toBeLessThan(13);
  await page.setViewportSize({ width: 420, height: 700 });
  await expect(page.getByTestId('mode')).toBeVisible();
  expect(village.frames.filter((frame) => frame.type === 'resize')).toEqual([]);
});

test('the controller’s window sets the size', async ({ page, village }) => {
  await open(page, village);
  await page.setViewportSize({ width: 1000, height: 600 });
  await expect.poll(() => village.frames.some((frame) => frame.type === 'resize')).toBe(true);
  const small = village.frames.findLast((frame) => frame.type === 'resize');
  await page.setViewportSize({ width: 1400, height: 800 });
  await expect
    .poll(() => village.frames.findLast((frame) => frame.type === 'resize')?.cols ?? 0)
    .toBeGreaterThan(small?.cols ?? 0);
  expect(await page.getByTestId('terminal-pane').isVisible()).toBe(true);
});

test('search, letter size and following work', async ({ page, village }) => {
  await open(page, village);
  const texts = Array.from({ length: 200 }, (_, line) => (line === 3 ? 'needle\r\n' : `row ${line}\r\n`));
  for (const frame of framesOf(1, texts)) village.send(SESSION, frame);
  await expect.poll(() => terminalText(page)).toContain('row 199');
  await page.getByTestId('search').click();
  await page.getByTestId('search-field').fill('needle');
  await expect(page.getByTestId('follow')).toHaveAttribute('aria-pressed', 'false');
  await page.getByTestId('search-field').fill('nowhere');
  await expect(page.getByText('Not found')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('search-field')).toHaveCount(0);
  await page.getByTestId('follow').click();
  await expect(page.getByTestId('follow')).toHaveAttribute('aria-pressed', 'true');
  const before = (await terminalSize(page)).fontPx;
  await page.getByTestId('font-larger').click();
  await expect.poll(async () => (await terminalSize(page)).fontPx).toBe(before + 1);
});

test('stop asks first', async ({ page, village }) => {
  await open(page, village);
  await page.getByTestId('stop').click();
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('stop-dialog')).toHaveCount(0);
  expect(village.asked).toEqual([]);
  await page.getByTestId('stop').click();
  await page.getByTestId('confirm-stop').click();
  await expect.poll(() => village.asked).toEqual([`stop ${SESSION}`]);
  await expect(page.getByTestId('stop')).toBeDisabled();
});

test('an ended session shows its stored terminal, and tells of what is missing', async ({ page, village }) => {
  const chunk = (number: number, firstOffset: number, text: string, keyframe: string): TranscriptChunk => ({
    v: 1,
    sessionId: SESSION,
    epoch: 1,
    number,
    firstOffset,
    endOffset: firstOffset + text.length,
    keyframe: { cols: 80, rows: 24, sizeRev: 1, data: keyframe },
    parts: [{ k: 'o', ts: 0, offset: firstOffset, data: text }],
  });
  const view = mockSession(1, {
    state: 'completed',
    endedAt: new Date().toISOString(),
    head: { epoch: 1, offset: 50, seq: 0 },
  });
  village.add(view, {
    chunks: [chunk(0, 0, 'first part\r\n', ''), chunk(1, 20, 'second part\r\n', 'screen at 20\r\n')],
  });
  await page.goto(`/sessions/${SESSION}`);
  await expect.poll(() => terminalText(page)).toContain('second part');
  const text = await terminalText(page);
  expect(text).toContain('first part');
  expect(text).toContain('8 bytes were not stored');
  expect(text).toContain('screen at 20');
  await expect(page.getByTestId('replay-banner')).toContainText('The last 17 B are not stored');
  expect(village.viewers.size).toBe(0);
});
