/** Two people at one session of the real village: named, asked, allowed or kept; a phone that looks on changes nobody's terminal. */
import { devices } from '@playwright/test';
import { EventPage } from '../../../shared/http.ts';
import { expect, test } from './fixtures.ts';
import { openShell, startShell, stop, takesKeys, textOf } from './shell-page.ts';

const STORY_TIMEOUT_MS = 90_000;

test('whoever watches asks for the keyboard; the leader keeps it, then allows it, and both are named', async ({
  behindLine,
  system: { village },
}) => {
  test.setTimeout(STORY_TIMEOUT_MS);
  const sessionId = await startShell(village, 'together');
  const first = await behindLine();
  await openShell(first, village, sessionId);
  await takesKeys(first);
  const { defaultBrowserType: _browser, ...phone } = devices['iPhone 13'];
  const second = await behindLine(phone);
  await openShell(second, village, sessionId);
  await expect(second.getByTestId('mode')).toContainText('your other window types');
  await first.getByTestId('presence').click();
  await expect(first.getByTestId('presence-list').getByRole('listitem')).toHaveText([
    /You · this window.*has the keyboard, Chrome on Linux/,
    /You.*watches, Safari on an iPhone/,
  ]);
  await first.getByTestId('presence').click();

  await second.getByTestId('ask-control').click();
  await expect(first.getByTestId('control-question')).toContainText('Safari on an iPhone');
  await expect(second.getByTestId('asking')).toHaveAttribute('data-asking', 'waiting');
  // One's own other window need not be waited for.
  await expect(second.getByTestId('take-over')).toBeVisible();
  await first.getByTestId('keep-control').click();
  await expect(second.getByTestId('asking')).toHaveAttribute('data-asking', 'declined');
  await expect(first.getByTestId('control-question')).toHaveCount(0);

  // The phone looked on all the time: the terminal has the size of who leads.
  await first.keyboard.type('stty size; echo "size"d\n');
  await expect.poll(() => textOf(first)).toContain('sized');
  const [, rows = '', cols = ''] = /^(\d+) (\d+)$/m.exec(await textOf(first)) ?? [];
  const shown = await first.evaluate(() => {
    const { term } = (window as unknown as { __village: { term: { rows: number; cols: number } } }).__village;
    return [term.rows, term.cols];
  });
  expect([Number(rows), Number(cols)]).toEqual(shown);
  expect(Number(cols)).toBeGreaterThan(80);

  await second.getByTestId('ask-control').click();
  await first.getByTestId('allow-control').click();
  await takesKeys(second);
  await expect(first.getByTestId('mode')).toHaveAttribute('data-mode', 'watch');
  await second.keyboard.type('echo from the ph""one\n');
  await expect.poll(() => textOf(first)).toContain('from the phone');
  // Who leads sets the size, and the other one sees it whole.
  await expect
    .poll(() =>
      first.evaluate(() => (window as unknown as { __village: { term: { cols: number } } }).__village.term.cols),
    )
    .toBeLessThan(80);

  await first.getByTestId('ask-control').click();
  await first.getByTestId('take-over').click();
  await takesKeys(first);
  await expect(second.getByTestId('mode')).toHaveAttribute('data-mode', 'watch');

  // Both times it is in the log, and in the list that both have open.
  const both = /The keyboard went to another window.*of me; now (Safari on an iPhone|Chrome on Linux), before/;
  await first.getByTestId('tab-events').click();
  const taken = first.locator('[data-testid=event][data-type=control_taken]');
  await expect(taken).toHaveText([both, both]);
  await expect(taken.first()).toContainText('now Safari on an iPhone, before Chrome on Linux');
  await expect(taken.last()).toContainText('now Chrome on Linux, before Safari on an iPhone');
  const { body } = await village.api('GET', `/api/sessions/${sessionId}/events?limit=1000`);
  expect(EventPage.parse(body).events.filter(({ type }) => type === 'control_taken')).toMatchObject([
    { how: 'allowed', controlTerm: 2, from: { device: 'Chrome on Linux' } },
    { how: 'taken', controlTerm: 3, from: { device: 'Safari on an iPhone' } },
  ]);
  await stop(village, sessionId);
});
