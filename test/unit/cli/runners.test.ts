import { describe, expect, it } from 'vitest';
import { CliError } from '../../../cli/cli-error.ts';
import { whereText } from '../../../cli/commands/read-sessions.ts';
import { runnerLines } from '../../../cli/commands/runners.ts';
import { queueNotes } from '../../../cli/commands/wait-session.ts';
import { RunnerInfo } from '../../../shared/http.ts';
import type { SessionView } from '../../../shared/session.ts';
import { mockSession } from '../../e2e/mock/mock-data.ts';

const NOW = Date.parse('2026-01-05T09:00:00.000Z');
const runner = (over: Record<string, unknown>) =>
  RunnerInfo.parse({
    runnerId: 'rnr-1',
    kind: 'customer',
    state: 'serving',
    runnerVersion: '0.1.0',
    buildId: 'own',
    sessionId: null,
    epoch: null,
    connectedAt: '2026-01-05T08:00:00.000Z',
    ...over,
  });
const session = (over: Partial<SessionView>): SessionView => ({
  ...mockSession(1),
  pool: 'lab',
  placement: null,
  queuePosition: null,
  parked: false,
  ...over,
});

it('runners are listed with what they hold, and when they were heard last', () => {
  const held = { sessionId: 'ses_01JH4Z7Q8M3V5T9XKCBW2E6RNA', epoch: 1 };
  const lines = runnerLines(
    [
      runner({
        group: 'lab',
        name: 'rack-3',
        capacity: 4,
        sessions: [held],
        clis: { shell: '5.2' },
        lastSeenAt: '2026-01-05T08:59:48.000Z',
      }),
      runner({ runnerId: 'rnr-2', group: 'lab', state: 'registered', connectedAt: null, runnerVersion: '' }),
      runner({ runnerId: 'task', kind: 'hosted', state: 'connected', sessionId: held.sessionId, epoch: 1 }),
    ],
    NOW,
  );
  expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
    ['RUNNER', 'NAME', 'POOL', 'STATE', 'SESSIONS', 'SEEN', 'VERSION', 'CLIS'],
    ['rnr-1', 'rack-3', 'lab', 'serving', '1/4', '12 s ago', '0.1.0', 'shell@5.2'],
    ['rnr-2', 'lab', 'registered', '0/1', 'never'],
    ['task', 'hosted', 'connected', held.sessionId, '1 h ago', '0.1.0'],
  ]);
});

describe('a session that waits for a runner', () => {
  it('says where it stands', () => {
    expect(whereText(session({ queuePosition: 3 }))).toBe('lab, waits for a runner at position 3');
    const placement = { kind: 'group', runnerId: 'rnr-1', group: 'lab' } as const;
    expect(whereText(session({ placement }))).toBe('lab, runner rnr-1');
    expect(whereText(session({ pool: 'hosted', placement: { kind: 'task', taskArn: 'a' } }))).toBe(
      'hosted, a task of its own',
    );
    expect(whereText(session({ parked: true }))).toContain('parked');
  });

  it('tells each new position once, and the end of the wait', () => {
    const notes: string[] = [];
    const told = queueNotes((text) => notes.push(text));
    for (const queuePosition of [null, 2, 2, 1, null, null]) told(session({ queuePosition }));
    expect(notes).toEqual([
      'waits for a runner of lab, position 2',
      'waits for a runner of lab, position 1',
      'a runner takes it',
    ]);
  });
});

it('a pool that is not there is not found', () => {
  expect(new CliError('no_such_pool', 'x').exitCode).toBe(3);
});
