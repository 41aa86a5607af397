/** Everything without a mouse: each stop is seen, a terminal can be left, questions are answered and put the focus back. */
import type { Page } from '@playwright/test';
import { mockRunner, mockSession } from '../mock/mock-data.ts';
import { crowd, fillVillage, SHOWN } from '../mock/mock-story.ts';
import { expectAccessible, tabStops } from './accessible.ts';
import { expect, test } from './fixtures.ts';

const focused = (page: Page) => page.locator(':focus');
/** Until `testId` has the focus. */
const tabTo = async (page: Page, testId: string): Promise<void> => {
  for (let count = 0; count < 60; count += 1) {
    await page.keyboard.press('Tab');
    if ((await focused(page).getAttribute('data-testid')) === testId) return;
  }
  throw new Error(`Tab never came to ${testId}`);
};

for (const [path, least] of [
  ['/', 10],
  ['/new', 8],
  ['/runners', 8],
  [`/sessions/${SHOWN.failed}`, 6],
  [`/sessions/${SHOWN.queued}`, 6],
] as const) {
  test(`on ${path} each stop of the Tab key is seen, the first one leads to the content`, async ({ page, village }) => {
    fillVillage(village);
    await page.goto(path);
    await expect(page.getByRole('main')).toBeVisible();
    await page.waitForLoadState('networkidle');
    const stops = await tabStops(page);
    expect(stops[0]).toMatchObject({ name: 'a Skip to content', isVisible: true });
    expect(stops.length).toBeGreaterThanOrEqual(least);
    expect(stops.filter(({ isVisible }) => !isVisible)).toEqual([]);
  });
}

test('a live terminal takes Tab and Escape, and is left by its key', async ({ page, village }) => {
  fillVillage(village);
  const typed: string[] = [];
  village.onInput = (data) => void typed.push(data);
  await page.goto(`/sessions/${SHOWN.live}`);
  await expect(page.getByTestId('mode')).toHaveAttribute('data-mode', 'control');
  SHOWN.play(village);
  const input = page.getByRole('textbox', { name: /Ctrl\+Shift\+X leaves it/ });
  await expect(input).toBeFocused();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Escape');
  await expect.poll(() => typed.join('')).toBe('\t\u001b');
  await page.keyboard.press('Control+Shift+X');
  await expect(page.getByRole('complementary', { name: 'Details' })).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(page.getByRole('checkbox', { name: 'bookkeeping too' })).toBeFocused();
  expect(typed.join('')).toBe('\t\u001b');

  await page.setViewportSize({ width: 390, height: 844 });
  await input.focus();
  await page.keyboard.press('Control+Shift+X');
  await expect(page.getByTestId('tab-terminal')).toBeFocused();
});

test('who is asked for the keyboard answers by key, and types on', async ({ page, village }) => {
  fillVillage(village);
  await page.goto(`/sessions/${SHOWN.live}`);
  await expect(page.getByTestId('mode')).toHaveAttribute('data-mode', 'control');
  crowd(village);
  await expect(page.getByRole('alert')).toContainText('Grace (Safari on an iPhone) asks for the keyboard');
  await expectAccessible(page, 'the question for the keyboard');
  await page.keyboard.press('Control+Shift+X');
  await page.getByTestId('tab-events').focus();
  await tabTo(page, 'allow-control');
  await page.keyboard.press('Tab');
  await expect(page.getByTestId('keep-control')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('control-question')).toHaveCount(0);
  await expect(page.getByTestId('mode')).toHaveAttribute('data-mode', 'control');
  await expect(page.getByRole('textbox', { name: /Terminal input/ })).toBeFocused();
});

test('questions take the focus, keep it inside, and give it back', async ({ page, village }) => {
  fillVillage(village);
  await page.goto(`/sessions/${SHOWN.queued}`);
  await page.getByTestId('stop').focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await expect(dialog).toBeVisible();
  await expectAccessible(page, 'the question before a stop');
  for (let count = 0; count < 4; count += 1) {
    await page.keyboard.press('Tab');
    const isOutside = await page.evaluate(
      () => document.activeElement !== document.body && document.activeElement?.closest('dialog') === null,
    );
    expect(isOutside).toBe(false);
  }
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  await expect(page.getByTestId('stop')).toBeFocused();
  await page.keyboard.press('?');
  await expect(page.getByTestId('help')).toContainText('Leave the terminal');
  await expectAccessible(page, 'the help');
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('help')).toHaveCount(0);
});

test('a runner is revoked by key, after its question', async ({ page, village }) => {
  village.add(mockSession(1));
  village.runners.push(mockRunner('one', { name: 'one' }));
  await page.goto('/runners');
  await page.getByTestId('revoke').focus();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('revoke-dialog')).toBeVisible();
  await expectAccessible(page, 'the question before a revocation');
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('revoke')).toBeFocused();
});

for (const scheme of ['light', 'dark'] as const) {
  test(`empty and signed-out pages keep nobody out, ${scheme}`, async ({ page, village, complaints }) => {
    await page.emulateMedia({ colorScheme: scheme });
    await page.goto('/');
    await expect(page.getByTestId('empty')).toBeVisible();
    await expectAccessible(page, 'an empty village');
    await page.goto('/runners');
    await expect(page.getByTestId('no-runners')).toBeVisible();
    await expectAccessible(page, 'no runners');
    village.signedIn = false;
    await page.goto('/');
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
    await expectAccessible(page, 'signed out');
    complaints.splice(0);
  });
}
