/** Starting a session: fields checked by the API's own schema, one key per meant start, and nothing taken from a link. */
import { AppError } from '../../../shared/errors.ts';
import { mockEvents, mockSession } from '../mock/mock-data.ts';
import { expect, test } from './fixtures.ts';

test('the demo starts with a repository and a prompt alone, then shows its steps', async ({ page, village }) => {
  await page.goto('/new');
  await page.getByLabel('Repository').fill('https://git.example/acme/harbour.git');
  await page.getByRole('textbox', { name: 'Prompt' }).fill('Say hello');
  await page.getByTestId('start').click();
  await expect(page.getByTestId('boot-step').first()).toHaveAttribute('data-state', 'active');
  const [start] = village.starts;
  expect(start?.body).toMatchObject({
    provider: 'claude_code',
    model: 'scripted',
    repository: { url: 'https://git.example/acme/harbour.git' },
    prompt: 'Say hello',
    endWhenDone: true,
  });
  expect(start?.body.scenario?.turns.length).toBeGreaterThan(0);
  expect(start?.key).toMatch(/^[0-9a-f]{32}$/);
});

test('refused fields say why, next to themselves, and the first gets the focus', async ({ page, village }) => {
  await page.goto('/new');
  await page.getByLabel('Repository').fill('not a repository');
  await page.getByLabel('Demo scenario').fill('{"turns": [{"steps": [{"sing": "la"}]}]}');
  await page.getByTestId('start').click();
  await expect(page.getByTestId('error-repository')).toContainText('https or ssh');
  await expect(page.getByTestId('error-scenario')).toContainText('Turns.0');
  await expect(page.getByLabel('Repository')).toBeFocused();
  await expect(page.getByLabel('Repository')).toHaveAttribute('aria-invalid', 'true');
  expect(village.starts).toEqual([]);
});

test('a failed submission is tried again under the same key; a changed body gets another', async ({
  page,
  village,
  complaints,
}) => {
  village.startFailures.push(
    new AppError('unavailable', 'Come back soon.'),
    new AppError('unavailable', 'Come back soon.'),
  );
  await page.goto('/new');
  await page.getByLabel('Repository').fill('/srv/one');
  await page.getByTestId('start').click();
  await expect(page.getByTestId('form-error')).toContainText('Come back soon');
  await page.getByTestId('start').click();
  await expect.poll(() => village.starts.length).toBe(2);
  await expect(page.getByTestId('start')).toBeEnabled();
  await page.getByLabel('Repository').fill('/srv/two');
  await page.getByTestId('start').click();
  await expect.poll(() => village.starts.length).toBe(3);
  const [first, second, third] = village.starts.map(({ key }) => key);
  expect(second).toBe(first);
  expect(third).not.toBe(first);
  complaints.splice(0);
});

test('what the village refuses shows at the field it names', async ({ page, village, complaints }) => {
  village.startFailures.push(new AppError('invalid_request', 'no such branch here', { path: 'repository.ref' }));
  await page.goto('/new');
  await page.getByLabel('Repository').fill('/srv/one');
  await page.getByTestId('start').click();
  await expect(page.getByTestId('error-ref')).toContainText('No such branch here');
  complaints.splice(0);
});

test('nothing in a link reaches the form or starts anything', async ({ page, village }) => {
  await page.goto('/new?repository=/srv/evil&prompt=rm&provider=shell&start=1#repository=/srv/evil');
  await expect(page.getByLabel('Repository')).toHaveValue('');
  // The demo brings a prompt of its own.
  await expect(page.getByRole('textbox', { name: 'Prompt' })).not.toHaveValue(/rm/);
  await expect(page.getByRole('radio', { name: /Claude Code/ })).toBeChecked();
  expect(village.starts).toEqual([]);
});

test('agents that are not built yet cannot be chosen and say why', async ({ page }) => {
  await page.goto('/new');
  await expect(page.getByRole('radio', { name: /Codex/ })).toBeDisabled();
  await expect(page.getByRole('radio', { name: /Codex/ })).toHaveAccessibleName(/not built yet/i);
});

test('a failed start tells step, reason and hint, and Retry starts again with the same settings', async ({
  page,
  village,
}) => {
  await page.goto('/new');
  await page.getByLabel('Repository').fill('/srv/one');
  await page.getByRole('textbox', { name: 'Prompt' }).fill('Say hello');
  await page.getByTestId('start').click();
  await expect(page.getByTestId('boot')).toBeVisible();
  const [session] = village.sessions.values();
  if (session === undefined) throw new Error('nothing was started');
  const reason = {
    code: 'x',
    message: 'There is no such repository.',
    hint: 'Check the path.',
    step: 'preparing_workspace' as const,
  };
  session.events = mockEvents(session.view, [
    { type: 'session_created', provider: 'claude_code', buildId: 'b', createdBy: 'owner', title: 't' },
    { type: 'session_state_changed', fromState: 'preparing_workspace', toState: 'failed', reason },
  ]);
  session.view = {
    ...session.view,
    state: 'failed',
    reason,
    head: { epoch: 1, offset: 0, seq: 2 },
    endedAt: new Date().toISOString(),
  };
  await expect(page.getByTestId('boot-failure')).toContainText('Check the path.');
  await expect(page.locator('[data-step=preparing_workspace]')).toHaveAttribute('data-state', 'failed');
  await page.getByTestId('retry').click();
  await expect.poll(() => village.starts.length).toBe(2);
  const [first, second] = village.starts;
  expect(second?.body).toEqual(first?.body);
  expect(second?.key).not.toBe(first?.key);
});

test('an empty village shows no sample data', async ({ page }) => {
  await page.goto('/');
  await expect(page.getByTestId('empty')).toBeVisible();
  await expect(page.getByTestId('session-row')).toHaveCount(0);
});

test('the list groups sessions by what they ask of a person, and follows changes', async ({ page, village }) => {
  const session = village.add(mockSession(1, { state: 'running' }));
  await page.goto('/');
  await expect(page.getByTestId('group-working').getByTestId('session-row')).toHaveCount(1);
  session.view = { ...session.view, state: 'waiting_for_approval' };
  await expect(page.getByTestId('group-needs_you').getByTestId('session-row')).toHaveCount(1);
  await expect(page).toHaveTitle(/^\(1\)/);
});
