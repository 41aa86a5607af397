/** A screen that is drawn anew moves nobody: who reads above stays there with what is selected, who follows stays at the end. */
import { mockId, mockSession } from '../mock/mock-data.ts';
import type { MockVillage } from '../mock/mock-village.ts';
import { placeOf, readAbove } from '../system/shell-page.ts';
import { expect, test } from './fixtures.ts';
import { framesOf, terminalText } from './terminal-page.ts';

const SESSION = mockId('ses', 1);
const LINES = Array.from({ length: 300 }, (_, line) => `row ${line} of many\r\n`);
/** Characters are bytes here. */
const sizeOf = (texts: readonly string[]): number => texts.join('').length;

const open = async (page: import('@playwright/test').Page, village: MockVillage) => {
  village.add(mockSession(1));
  await page.goto(`/sessions/${SESSION}`);
  await expect(page.getByTestId('mode')).toBeVisible();
  for (const frame of framesOf(1, LINES)) village.send(SESSION, frame);
  await expect.poll(() => terminalText(page)).toContain('row 299');
};
/** What a runner sends to a viewer that is too far behind: the screen with its scrollback, as it is at `offset`. */
const snapshotTo = (village: MockVillage, data: string, offset: number, epoch = 1) => {
  for (const { viewerId } of village.viewers.values()) {
    village.send(SESSION, {
      type: 'terminal_snapshot',
      sessionId: SESSION,
      epoch,
      viewerId,
      snapshotId: `${epoch}-${offset}`,
      part: 0,
      parts: 1,
      offset,
      sizeRev: 1,
      cols: 80,
      rows: 24,
      data: `\u001bc${data}`,
    });
  }
};

test('a snapshot leaves the reader where they were, with what they selected', async ({ page, village }) => {
  await open(page, village);
  await readAbove(page, 120);
  const place = await placeOf(page);
  expect(place).toMatchObject({ selection: 'row ', atEnd: false });
  const more = Array.from({ length: 90 }, (_, line) => `more ${line}\r\n`);
  const kept = [...LINES.slice(60), ...more];
  snapshotTo(village, kept.join(''), sizeOf([...LINES, ...more]));
  await expect.poll(() => terminalText(page)).toContain('more 89');
  expect(await placeOf(page)).toEqual(place);
  await expect(page.getByTestId('follow')).toHaveAttribute('aria-pressed', 'false');
  const [after] = framesOf(1, ['and on\r\n']);
  village.send(SESSION, { ...after, offset: sizeOf([...LINES, ...more]) });
  await expect.poll(() => terminalText(page)).toContain('and on');
  expect(await placeOf(page)).toEqual(place);
});

test('a snapshot leaves who follows at the end', async ({ page, village }) => {
  await open(page, village);
  snapshotTo(village, [...LINES, 'last row'].join(''), sizeOf([...LINES, 'last row']));
  await expect.poll(() => terminalText(page)).toContain('last row');
  expect(await placeOf(page)).toMatchObject({ atEnd: true });
  await expect(page.getByTestId('follow')).toHaveAttribute('aria-pressed', 'true');
});
