/** What the facts say that only events know. */
import { mockEvents, mockSession } from '../mock/mock-data.ts';
import { expect, test } from './fixtures.ts';

const started = { type: 'provider_started', provider: 'shell', cliVersion: '5', pid: 1, isolation: 'shared_uid' };

for (const [length, later] of [
  ['a short', 3],
  ['a long', 300],
] as const) {
  test(`the facts of ${length} session say what keeps its agent apart`, async ({ page, village }) => {
    const commands = Array.from({ length: later }, (_, at) => ({
      type: 'command_executed',
      command: `echo ${at}`,
      exitCode: 0,
      tookMs: 1,
    }));
    const head = { epoch: 1, offset: 0, seq: later + 1 };
    const session = mockSession(1, { state: 'completed', head, endedAt: new Date().toISOString() });
    village.add(session, { events: mockEvents(session, [started, ...commands]) });
    await page.goto(`/sessions/${session.sessionId}`);
    await page.getByTestId('tab-facts').click();
    await expect(page.getByTestId('facts-panel')).toContainText(
      "shares the village's user: it can read what that user can read",
    );
  });
}
