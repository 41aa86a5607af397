/** Every view once, in both schemes and on a phone: it renders without an error, keeps nobody out, and nothing runs out of its box. */
import type { Page } from '@playwright/test';
import { crowd, fillVillage, SHOWN } from '../mock/mock-story.ts';
import type { MockVillage } from '../mock/mock-village.ts';
import { expectAccessible } from './accessible.ts';
import { expect, test } from './fixtures.ts';

/** Set to keep the pictures: a folder. */
const PICTURES = process.env.VILLAGE_PICTURES;

const picture = async (page: Page, name: string): Promise<void> => {
  const tooWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  expect(tooWide, `${name} scrolls sideways`).toBe(false);
  await expectAccessible(page, name);
  if (PICTURES !== undefined) await page.screenshot({ path: `${PICTURES}/${name}.png` });
};

const openTerminal = async (page: Page, village: MockVillage, sessionId: string): Promise<void> => {
  await page.goto(`/sessions/${sessionId}`);
  await expect.poll(() => village.viewers.size).toBeGreaterThan(0);
  SHOWN.play(village);
  await expect
    .poll(() => page.evaluate(() => (window as unknown as { __village?: { text(): string } }).__village?.text() ?? ''))
    .toContain('Done');
};

for (const [scheme, width, height] of [
  ['light', 1280, 800],
  ['dark', 1280, 800],
  ['light', 390, 844],
  ['dark', 390, 844],
] as const) {
  test(`${scheme} at ${width}`, async ({ page, village, complaints }) => {
    test.setTimeout(60_000);
    fillVillage(village);
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width, height });
    const name = (view: string) => `${view}-${scheme}-${width}`;
    await page.goto('/');
    await expect(page.getByTestId('session-row').first()).toBeVisible();
    await picture(page, name('list'));
    await page.goto('/new');
    await expect(page.getByText('Demo, no key needed')).toBeAttached();
    await picture(page, name('start'));
    await page.getByTestId('start').click();
    await expect(page.getByTestId('error-repository')).toBeVisible();
    await picture(page, name('start-refused'));
    await openTerminal(page, village, SHOWN.live);
    await picture(page, name('session'));
    if (width > 700) {
      crowd(village);
      await expect(page.getByTestId('control-question')).toBeVisible();
      await page.getByTestId('presence').click();
      await picture(page, name('session-asked'));
      await page.getByTestId('presence').click();
      await page.getByTestId('keep-control').click();
    } else {
      village.others.push({ sessionId: SHOWN.live, viewerId: 'grace', userId: 'grace', device: 'Firefox on Linux' });
      village.controllerId = 'grace';
      village.announce(SHOWN.live);
      await page.getByTestId('ask-control').click();
      await picture(page, name('session-asks'));
    }
    village.refuseSockets = true;
    village.cut();
    await expect(page.getByTestId('reconnect-banner')).toBeVisible();
    if (width > 700) await page.keyboard.type('npm test');
    await picture(page, name('session-cut'));
    village.refuseSockets = false;
    await expect(page.getByTestId('recovered-banner')).toBeVisible({ timeout: 20_000 });
    await picture(page, name('session-recovered'));
    complaints.splice(0);
    await page.getByTestId('tab-files').click();
    await page.getByTestId('file').first().getByRole('button').click();
    await expect(page.getByTestId('diff')).toBeVisible();
    await picture(page, name('files'));
    await page.getByTestId('tab-facts').click();
    await picture(page, name('facts'));
    await page.goto(`/sessions/${SHOWN.queued}`);
    await expect(page.getByTestId('queued')).toBeVisible();
    await picture(page, name('queued'));
    await page.goto(`/sessions/${SHOWN.parked}`);
    await expect(page.getByTestId('notice-parked')).toBeVisible();
    await picture(page, name('parked'));
    await page.goto('/runners');
    await expect(page.getByTestId('runner-row').first()).toBeVisible();
    await picture(page, name('runners'));
    await page.getByTestId('register-runner').click();
    await page.getByLabel('Group').fill('build-farm');
    await page.getByTestId('register-submit').click();
    await expect(page.getByTestId('runner-command')).toBeVisible();
    await picture(page, name('registered'));
    await page.goto(`/sessions/${SHOWN.booting}`);
    await expect(page.getByTestId('boot-step').first()).toBeVisible();
    await picture(page, name('boot'));
    await page.goto(`/sessions/${SHOWN.failed}`);
    await expect(page.getByTestId('boot-failure')).toBeVisible();
    await picture(page, name('failed'));
    await page.goto(`/sessions/${SHOWN.ended}`);
    await expect
      .poll(() =>
        page.evaluate(() => (window as unknown as { __village?: { text(): string } }).__village?.text() ?? ''),
      )
      .toContain('stored');
    await picture(page, name('ended'));
    await page.getByTestId('tab-replay').click();
    await expect(page.locator('.ap-term')).toBeVisible();
    await picture(page, name('replay'));
  });
}
