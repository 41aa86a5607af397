/** Runners of one's own, registered and drained on the page of the real village: the session on one moves to the other, in sight of its person. */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Page } from '@playwright/test';
import { dieWithParent } from '../../../local/dynamodb/die-with-parent.ts';
import { ROOT, type TestVillage } from '../../fakes/village.ts';
import { expect, test } from './fixtures.ts';
import { stop, takesKeys, textOf } from './shell-page.ts';

const STORY_TIMEOUT_MS = 150_000;
const MOVED_TIMEOUT_MS = 60_000;
const GROUP = 'desk';

/** Runs the printed command as another machine would: with a home of its own, and nothing known but what it says. */
const runElsewhere = (village: TestVillage, command: string, name: string): (() => Promise<void>) => {
  const [npx, program, ...args] = command.split(' ');
  expect([npx, program]).toEqual(['npx', 'village-runner']);
  const home = join(village.root, `home-${name}`);
  mkdirSync(home);
  const main = join(ROOT, 'runner-image/src/host/main.ts');
  const wrapped = dieWithParent(process.execPath, [main, ...args]);
  const child = spawn(wrapped.command, wrapped.args, {
    cwd: home,
    env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: home, TMPDIR: join(village.root, 'tmp') },
    stdio: [wrapped.stdin, 'ignore', 'ignore'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return () => {
    child.kill('SIGTERM');
    return ended;
  };
};

const register = async (page: Page, name: string): Promise<string> => {
  await page.getByTestId('register-runner').click();
  await page.getByLabel('Group').fill(GROUP);
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Sessions at once').fill('1');
  await page.getByTestId('register-submit').click();
  const command = await page.getByTestId('runner-command').innerText();
  await page.getByRole('button', { name: 'Done' }).click();
  return command;
};

test('a drained runner gives its session to the next one of its group, with its work and below its screen', async ({
  person: page,
  signedIn,
  system: { village },
}) => {
  test.setTimeout(STORY_TIMEOUT_MS);
  const ends: (() => Promise<void>)[] = [];
  try {
    await page.goto(`${village.endpoint().url}/runners`);
    for (const name of ['left', 'right']) ends.push(runElsewhere(village, await register(page, name), name));
    const group = page.getByTestId('runner-group');
    await expect(group.getByTestId('runner-state')).toHaveText(['Serving', 'Serving'], { timeout: MOVED_TIMEOUT_MS });
    await expect(group).toContainText('2 of 2 places free');

    const work = await signedIn.newPage();
    await work.goto(`${village.endpoint().url}/new`);
    await work.getByRole('radio', { name: /shell/i }).check();
    await work.getByLabel('Repository').fill(village.repository('moves'));
    await work.getByLabel('Runs on').selectOption(GROUP);
    await work.getByTestId('start').click();
    await takesKeys(work);
    await expect.poll(() => textOf(work), { timeout: MOVED_TIMEOUT_MS }).toMatch(/[#$]\s*$/);
    await work.keyboard.type("echo kept > work.txt; echo 'first li''fe'\n");
    await expect.poll(() => textOf(work)).toContain('first life');

    const holder = group.getByTestId('runner-row').filter({ hasText: '1 of 1 session' });
    await expect(holder).toHaveCount(1);
    await holder.getByTestId('drain').click();
    await expect(group.getByTestId('runner-state').filter({ hasText: /Draining|Stopped/ })).toHaveCount(1);

    await expect
      .poll(() => textOf(work), { timeout: MOVED_TIMEOUT_MS })
      .toMatch(/first life[\s\S]*── Moved to another runner; continued from the checkpoint of .* ──[\s\S]*[#$]\s*$/);
    await expect(work.getByTestId('notice-moved')).toContainText('Moved to another runner');
    await takesKeys(work);
    await work.keyboard.type('cat work.txt; echo "second life"\n');
    await expect.poll(() => textOf(work)).toMatch(/kept\s+second life/);
    await expect(work.locator('[data-testid=event][data-type=epoch_drained]')).toHaveCount(1);
    await stop(village, work.url().split('/').at(-1) ?? '');
    await expect(work.getByTestId('session-state').first()).toHaveAttribute('data-state', 'completed', {
      timeout: MOVED_TIMEOUT_MS,
    });
    await work.close();
  } finally {
    await Promise.all(ends.map((end) => end()));
  }
});
