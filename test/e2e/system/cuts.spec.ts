/** The line between a browser and the real village is cut, stalled and cut again: the person sees it at once and loses nothing. */
import { createHash } from 'node:crypto';
import { until } from '../../fakes/village.ts';
import { expect, test } from './fixtures.ts';
import { eventTypes, openShell, placeOf, readAbove, startShell, stop, takesKeys, textOf } from './shell-page.ts';

/** The issue's own bound: from the cut to the banner. */
const BANNER_WITHIN_MS = 500;
const STORY_TIMEOUT_MS = 90_000;
const BACK_TIMEOUT_MS = 30_000;
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

test('a cut shows within half a second; what is typed meanwhile waits, arrives once, and the events are caught up', async ({
  behindLine,
  line,
  system: { village },
}) => {
  test.setTimeout(STORY_TIMEOUT_MS);
  const sessionId = await startShell(village, 'cut');
  const page = await behindLine();
  await openShell(page, village, sessionId);
  await takesKeys(page);
  await page.keyboard.type("(sleep 2; echo made > made-in-the-cut.txt) & PS1='> '\n");
  await page.keyboard.type('printf %s "');
  await expect.poll(() => textOf(page)).toContain('> printf %s "');

  line.fault({ refuses: true });
  expect(line.cut()).toBeGreaterThan(0);
  await expect(page.getByTestId('reconnect-banner')).toBeVisible({ timeout: BANNER_WITHIN_MS });
  const typed = Array.from({ length: 25 }, (_, index) => `w${index}é`).join('-');
  await page.keyboard.type(`${typed}" | sha256sum\n`);
  await expect(page.getByTestId('pending')).toContainText(`${typed.length + 14} characters`);
  await expect(page.getByTestId('reconnect-banner')).toContainText(`${typed.length + 14} characters you typed wait`);
  const before = await eventTypes(village, sessionId);
  await until('an event during the cut', async () =>
    (await eventTypes(village, sessionId)).length > before.length ? true : undefined,
  );

  line.fault({});
  await expect(page.getByTestId('recovered-banner')).toHaveText(/Reconnected, [1-9]\d* events? caught up/, {
    timeout: BACK_TIMEOUT_MS,
  });
  await expect.poll(() => textOf(page)).toContain(sha256(typed));
  await expect(page.getByTestId('pending')).toHaveCount(0);
  await expect(page.locator('[data-testid=event][data-type=file_touched]').first()).toContainText('made-in-the-cut');
  await expect(page.getByTestId('recovered-banner')).toHaveCount(0, { timeout: 10_000 });
  await stop(village, sessionId);
});

test('cuts in a row, while a person reads above, move nothing: bytes go on, a snapshot is put in the same place', async ({
  behindLine,
  line,
  system: { village },
}) => {
  test.setTimeout(STORY_TIMEOUT_MS);
  const sessionId = await startShell(village, 'reads');
  const page = await behindLine();
  await openShell(page, village, sessionId);
  await takesKeys(page);
  await page.keyboard.type("PS1='> '; clear; seq -f 'row %g' 1 300\n");
  await expect.poll(() => textOf(page)).toContain('row 300');
  // Output goes on all the time, and after a key of which nobody sees an echo comes more than a re-attach may bring as bytes.
  await page.keyboard.type('i=0; while ! read -rst 0.05; do i=$((i+1)); echo more $i; done; echo much; ');
  await page.keyboard.type("for i in $(seq 1 40000); do printf 'at %05d\\r' $i; done; echo; echo 'al''l done'\n");
  await expect.poll(() => textOf(page)).toContain('more 5');
  await readAbove(page, 100);
  const place = await placeOf(page);
  expect(place.selection).toMatch(/^row/);
  for (let cut = 0; cut < 4; cut += 1) {
    line.cut();
    await expect(page.getByTestId('reconnect-banner')).toBeVisible();
    await expect(page.getByTestId('recovered-banner')).toBeVisible({ timeout: BACK_TIMEOUT_MS });
    expect(await placeOf(page)).toEqual(place);
  }
  line.fault({ refuses: true });
  line.cut();
  await expect(page.getByTestId('reconnect-banner')).toBeVisible();
  const { body } = await village.api('POST', `/api/sessions/${sessionId}/input`, { data: '\n' });
  expect(body).toMatchObject({ accepted: true });
  await until('the flood', async () => {
    const { body: view } = await village.api('GET', `/api/sessions/${sessionId}`);
    return (view as { head: { offset: number } }).head.offset > 300_000 ? true : undefined;
  });
  line.fault({});
  await expect(page.getByTestId('recovered-banner')).toBeVisible({ timeout: BACK_TIMEOUT_MS });
  await expect.poll(() => textOf(page)).toContain('all done');
  expect(await placeOf(page)).toEqual(place);
  const rows = (await textOf(page)).split('\n').filter((row) => /^(row|more) \d+$/.test(row));
  const more = rows.filter((row) => row.startsWith('more')).length;
  const expected = (name: string, count: number) => Array.from({ length: count }, (_, at) => `${name} ${at + 1}`);
  expect(rows).toEqual([...expected('row', 300), ...expected('more', more)]);
  await page.getByTestId('follow').click();
  expect((await placeOf(page)).atEnd).toBe(true);
  await stop(village, sessionId);
});

test('a line that dies silently is noticed by what the person does, and by the device that says it is offline', async ({
  behindLine,
  line,
  system: { village },
}) => {
  test.setTimeout(STORY_TIMEOUT_MS);
  const sessionId = await startShell(village, 'silent');
  const page = await behindLine();
  await openShell(page, village, sessionId);
  await takesKeys(page);
  await page.keyboard.type("PS1='> '\n");
  await expect.poll(() => textOf(page)).toMatch(/\n>$/);
  line.fault({ stalls: true });
  await page.keyboard.type('echo still here | tr a-z A-Z\n');
  await expect(page.getByTestId('pending')).toContainText('29 characters');
  await expect(page.getByTestId('reconnect-banner')).toContainText('does not answer', { timeout: BACK_TIMEOUT_MS });
  line.fault({});
  await expect.poll(() => textOf(page), { timeout: BACK_TIMEOUT_MS }).toContain('STILL HERE');
  expect((await textOf(page)).split('STILL HERE')).toHaveLength(2);
  await expect(page.getByTestId('recovered-banner')).toBeVisible();

  line.fault({ stalls: true });
  await page.context().setOffline(true);
  await expect(page.getByTestId('reconnect-banner')).toBeVisible({ timeout: BANNER_WITHIN_MS });
  line.fault({});
  await page.context().setOffline(false);
  await page.keyboard.type('echo back again | tr a-z A-Z\n');
  await expect.poll(() => textOf(page), { timeout: BACK_TIMEOUT_MS }).toContain('BACK AGAIN');
  await stop(village, sessionId);
});
