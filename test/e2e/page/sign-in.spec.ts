/** Getting in: by a one-time link whose code never stays in the address bar; without one, the page says how to get it. */
import { expect, test } from './fixtures.ts';

test('a link signs in and its code leaves the address bar', async ({ page, village }) => {
  village.signedIn = false;
  const seen: string[] = [];
  page.on('request', (request) => seen.push(request.url()));
  await page.goto('/signin#good-code');
  await expect(page.getByTestId('empty')).toBeVisible();
  expect(page.url()).not.toContain('good-code');
  expect(await page.evaluate(() => history.length)).toBeLessThanOrEqual(3);
  expect(seen.filter((url) => url.includes('good-code'))).toEqual([]);
});

test('a used link says so, and how to get another', async ({ page, village, complaints }) => {
  village.signedIn = false;
  await page.goto('/signin#old-code');
  await expect(page.getByTestId('signed-out')).toContainText('used already');
  await expect(page.getByTestId('signed-out')).toContainText('npx village open');
  expect(page.url()).not.toContain('old-code');
  expect(complaints.splice(0).every((text) => text.includes('401'))).toBe(true);
});

test('signed out, every page explains how to get in', async ({ page, village, complaints }) => {
  village.signedIn = false;
  await page.goto('/new');
  await expect(page.getByTestId('signed-out')).toContainText('npm start');
  await expect(page.getByTestId('start-form')).toHaveCount(0);
  expect(complaints.splice(0).every((text) => text.includes('401'))).toBe(true);
});
