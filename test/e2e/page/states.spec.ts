/** Where a session waits, moves, freezes or comes to harm: the page says so in the words people use, and keeps what stood there. */
import type { SessionView } from '../../../shared/session.ts';
import { mockEvents, mockId, mockSession } from '../mock/mock-data.ts';
import type { MockVillage } from '../mock/mock-village.ts';
import { expect, test } from './fixtures.ts';
import { framesOf, terminalText } from './terminal-page.ts';

const SESSION = mockId('ses', 1);
const CHECKPOINT = 'T/x/checkpoints/1-3';
const running = { type: 'session_state_changed', fromState: 'starting_provider', toState: 'running', reason: null };
const stored = { type: 'workspace_checkpointed', checkpointKey: CHECKPOINT, sizeBytes: 9_000, sha256: 'a'.repeat(64) };
const checkpointTime = /\d\d:\d\d/;

const show = async (
  page: import('@playwright/test').Page,
  village: MockVillage,
  over: Partial<SessionView>,
  drafts: readonly (Record<string, unknown> & { type: string })[],
) => {
  const session = mockSession(1, over);
  village.add(session, { events: mockEvents(session, [running, ...drafts]), live: over.parked !== true });
  await page.goto(`/sessions/${SESSION}`);
};

test('a queued session says its place in its group, and that nothing is billed', async ({ page, village }) => {
  const queued = { state: 'created', startedAt: null, queuePosition: 3, pool: 'build-farm', placement: null } as const;
  village.add(mockSession(1, queued), { live: false });
  village.add(mockSession(2, { ...queued, queuePosition: 1 }), { live: false });
  await page.goto('/');
  await expect(page.getByTestId('group-queued').getByTestId('session-row')).toContainText([
    'Queued, position 1',
    'Queued, position 3',
  ]);
  await page.getByText('Session 1').click();
  await expect(page.getByTestId('boot')).toContainText('Queued, position 3 in group build-farm');
  await expect(page.getByTestId('queued')).toContainText('Nothing is billed');
  await expect(page.locator('[data-testid=boot-step][data-state=active]')).toHaveCount(0);
});

test('a parked session waits for its person, who resumes it', async ({ page, village }) => {
  await show(page, village, { state: 'waiting_for_approval', parked: true, placement: null }, [
    stored,
    { type: 'session_parked', checkpointKey: CHECKPOINT },
  ]);
  await expect(page.getByTestId('notice-parked')).toContainText('Parked: waits for you');
  await expect(page.getByTestId('session-state').first()).toContainText('Parked');
  await page.getByTestId('notice-resume').click();
  await expect.poll(() => village.asked).toEqual([`resume ${SESSION}`]);
  await page.goto('/');
  await expect(page.getByTestId('group-needs_you').getByTestId('session-row')).toContainText('Parked');
});

test('a session whose runner was lost says that it goes on with another', async ({ page, village }) => {
  await show(page, village, { parked: true, placement: null }, [
    { type: 'runner_lost', why: 'lease', leaseUntilMs: null },
  ]);
  await expect(page.getByTestId('notice-moving')).toContainText('Its runner was lost; it goes on with another one');
});

test('a session on its next runner says where it went on, and the old screen stays above the new one', async ({
  page,
  village,
}) => {
  await show(page, village, {}, [stored]);
  await expect(page.getByTestId('mode')).toBeVisible();
  for (const frame of framesOf(1, ['old screen\r\n', 'last words'])) village.send(SESSION, frame);
  await expect.poll(() => terminalText(page)).toContain('last words');
  const events = village.sessions.get(SESSION)?.events ?? [];
  const drained = { type: 'epoch_drained', why: 'runner drains', checkpointKey: CHECKPOINT };
  const resumed = { type: 'session_resumed', fromEpoch: 1, checkpointKey: CHECKPOINT };
  const session = mockSession(1, { epoch: 2 });
  const more = mockEvents(session, [drained, resumed]).map((event, index) => ({
    ...event,
    epoch: index + 1,
    seq: events.length + index + 1,
  }));
  events.push(...more);
  for (const event of more) village.send(SESSION, { type: 'session_event', sessionId: SESSION, event });
  for (const frame of framesOf(1, ['new screen\r\n'])) village.send(SESSION, { ...frame, epoch: 2 });
  await expect.poll(() => terminalText(page)).toContain('new screen');
  const text = await terminalText(page);
  expect(text).toMatch(
    /old screen\nlast words\n── Moved to another runner; continued from the checkpoint of \d\d:\d\d ──/,
  );
  expect(text.indexOf('new screen')).toBeGreaterThan(text.indexOf('──'));
  await expect(page.getByTestId('notice-moved')).toContainText(
    'Moved to another runner; continued from the checkpoint',
  );
  await expect(page.getByTestId('notice-moved')).toContainText(checkpointTime);
  await page.getByTestId('notice-moved').getByRole('button', { name: 'Put this note away' }).click();
  await expect(page.getByTestId('notice-moved')).toHaveCount(0);
});

test('frozen, draining and alarming: each says what it means', async ({ page, village }) => {
  await show(page, village, {}, [
    { type: 'runner_draining', why: 'SIGTERM' },
    { type: 'session_frozen', frozen: true, reason: 'the lease could not be renewed' },
    { type: 'alert_raised', code: 'checkpoint_too_large', message: 'The work is too large to be stored.' },
    { type: 'stream_gap', fromOffset: 10, toOffset: 4_106, reason: 'the spool was full' },
  ]);
  await expect(page.getByTestId('notice-frozen')).toContainText('Frozen, unbilled: the lease could not be renewed');
  await expect(page.getByTestId('notice-draining')).toContainText('goes on elsewhere');
  await expect(page.getByTestId('notice-alert')).toContainText('too large to be stored');
  await expect(page.locator('[data-testid=event][data-type=stream_gap]')).toContainText('4.0 KiB: the spool was full');
});

test('nobody answers: taking over is offered after a while, openly; a no is said', async ({ page, village }) => {
  await page.clock.install();
  village.others.push({ sessionId: SESSION, viewerId: 'other', userId: 'grace', device: 'Firefox on Windows' });
  village.controllerId = 'other';
  village.controlTerm = 1;
  await show(page, village, {}, []);
  await expect(page.getByTestId('mode')).toContainText('grace types');
  await page.getByTestId('ask-control').click();
  await expect(page.getByTestId('asking')).toHaveText('Asked grace…');
  await expect(page.getByTestId('take-over')).toHaveCount(0);
  await page.clock.fastForward(16_000);
  await expect(page.getByTestId('asking')).toHaveText('Grace does not answer');
  await page.getByTestId('stop-asking').click();
  await expect(page.getByTestId('asking')).toHaveCount(0);
  await page.getByTestId('ask-control').click();
  await expect.poll(() => village.request?.viewerId).toBeTruthy();
  village.request = village.request === null ? null : { ...village.request, declined: true };
  village.announce(SESSION);
  await expect(page.getByTestId('asking')).toHaveText('Grace keeps it');
  await page.getByTestId('ask-control').click();
  await page.clock.fastForward(16_000);
  await page.getByTestId('take-over').click();
  await expect(page.getByTestId('mode')).toHaveAttribute('data-mode', 'control');
});

interface Standing {
  __village: { term: { write(data: string, done: () => void): void } };
  __goOn: () => void;
}

test('a tab whose drawing stands still drops what it cannot draw, and shows the screen as it is afterwards', async ({
  page,
  village,
}) => {
  test.setTimeout(60_000);
  await show(page, village, {}, []);
  await expect(page.getByTestId('mode')).toBeVisible();
  await page.evaluate(() => {
    const standing = window as unknown as Standing;
    const { term } = standing.__village;
    const write = term.write.bind(term);
    const held: (() => void)[] = [];
    term.write = (data, done) => held.push(() => write(data, done));
    standing.__goOn = () => {
      term.write = write;
      for (const goOn of held.splice(0)) goOn();
    };
  });
  const pieces = Array.from({ length: 400 }, () => `${'x'.repeat(78)}\r\n`.repeat(300));
  const attaches = () => village.frames.filter((frame) => frame.type === 'attach');
  const before = attaches().length;
  for (const frame of framesOf(1, pieces)) village.send(SESSION, frame);
  await expect
    .poll(
      () =>
        attaches()
          .slice(before)
          .some((attach) => attach.from === undefined),
      { timeout: 20_000 },
    )
    .toBe(true);
  await page.evaluate(() => (window as unknown as Standing).__goOn());
  const offset = pieces.join('').length;
  for (const { viewerId } of village.viewers.values()) {
    village.send(SESSION, {
      type: 'terminal_snapshot',
      sessionId: SESSION,
      epoch: 1,
      viewerId,
      snapshotId: 's',
      part: 0,
      parts: 1,
      offset,
      sizeRev: 1,
      cols: 80,
      rows: 24,
      data: '\u001bcthe screen as it is',
    });
  }
  await expect.poll(() => terminalText(page), { timeout: 20_000 }).toBe('the screen as it is');
});
