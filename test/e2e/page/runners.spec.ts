/** Runners of one's own: registered by one command, listed with what they hold, drained, revoked, and chosen at a start. */
import { mockId, mockRunner, mockSession } from '../mock/mock-data.ts';
import { expect, test } from './fixtures.ts';

test('a runner is registered by one command, then listed as not started', async ({ page }) => {
  await page.goto('/runners');
  await expect(page.getByTestId('no-runners')).toBeVisible();
  await page.getByTestId('register-runner').click();
  await page.getByLabel('Group').fill('Build Farm');
  await page.getByTestId('register-submit').click();
  await expect(page.getByTestId('error-group')).toContainText('Must be lower-case');
  await page.getByLabel('Group').fill('build-farm');
  await page.getByLabel('Name').fill('rack-4');
  await page.getByLabel('Sessions at once').fill('2');
  await page.getByTestId('register-submit').click();
  await expect(page.getByTestId('runner-command')).toContainText('npx village-runner --url');
  await page.getByRole('button', { name: 'Done' }).click();
  await expect(page.getByTestId('runner-row')).toContainText('rack-4');
  await expect(page.getByTestId('runner-state')).toHaveText('Not started yet');
  await expect(page.getByTestId('runner-group')).toContainText('no runner serves now');
});

test('groups show their free places; a runner is drained, and revoked after a question', async ({ page, village }) => {
  const sessions = [{ sessionId: mockId('ses', 1), epoch: 1 }];
  village.add(mockSession(1, { title: 'The long job' }));
  village.runners.push(
    mockRunner('one', { name: 'one', sessions }),
    mockRunner('two', { name: 'two', capacity: 2, state: 'lost' }),
    mockRunner('warm', { kind: 'warm', group: null, capacity: 1, state: 'connected' }),
  );
  await page.goto('/runners');
  await expect(page.getByTestId('runner-group')).toContainText('3 of 4 places free');
  await expect(page.getByTestId('runner-state')).toHaveText(['Serving', 'Lost', 'Warm']);
  await expect(page.getByRole('link', { name: 'The long job' })).toBeVisible();
  await page.getByTestId('drain').click();
  await expect(page.getByTestId('runner-state').first()).toHaveText('Draining');
  await page.getByTestId('revoke').first().click();
  await expect(page.getByTestId('revoke-dialog')).toContainText('1 session now');
  await page.getByTestId('confirm-revoke').click();
  await expect(page.getByTestId('runner-state').last()).toBeVisible();
  await expect.poll(() => village.runners.find(({ runnerId }) => runnerId === 'one')?.state).toBe('revoked');
});

test('a start names its group, with the places that are free', async ({ page, village }) => {
  await page.goto('/new');
  await expect(page.getByLabel('Runs on')).toHaveCount(0);
  village.runners.push(mockRunner('one'), mockRunner('gpu', { group: 'gpu', state: 'lost' }));
  await expect(page.getByLabel('Runs on')).toBeVisible();
  await expect(page.getByLabel('Runs on').getByRole('option')).toHaveText([
    'The village’s own runners',
    'build-farm: 4 of 4 places free',
    'gpu: no runner serves now',
  ]);
  await page.getByLabel('Runs on').selectOption('gpu');
  await expect(page.getByText('It waits in the queue')).toBeVisible();
  await page.getByLabel('Repository').fill('/srv/one');
  await page.getByTestId('start').click();
  await expect.poll(() => village.starts[0]?.body.pool).toBe('gpu');
});
