import { describe, expect, it } from 'vitest';
import type { ProviderEvent } from '../../../../runner-image/src/adapters/contract.ts';
import { envelopeOf } from '../../../../runner-image/src/session/event-recorder.ts';
import { composePrompt } from '../../../../runner-image/src/session/prompt.ts';
import { diffSummaryEvent, eventOf, fileTouched } from '../../../../runner-image/src/session/provider-events.ts';
import { withoutCredentials } from '../../../../runner-image/src/session/workspace-step.ts';
import { EVENT_FILES_MAX } from '../../../../shared/limits.ts';

const identity = { sessionId: 'ses_01J0000000000000000000000A', tenantId: 'local', epoch: 1 };
const place = { rseq: 1, ts: 0, offset: 0 };
const context = { provider: 'claude_code', isolation: 'shared_uid' } as const;
const long = 'x'.repeat(20_000);
const tool = { toolUseId: long, toolName: long };

describe('eventOf', () => {
  const events: ProviderEvent[] = [
    { type: 'PROVIDER_STARTED', pid: 1, cliVersion: long },
    { type: 'PROVIDER_READY', tookMs: 1, degraded: false },
    { type: 'PROVIDER_MESSAGE', role: 'assistant', text: long },
    { type: 'HINT_COMMAND_EXECUTED', command: long, exitCode: null, tookMs: null },
    { type: 'TURN_STARTED', turn: 1, prompt: long },
    { type: 'TURN_FINISHED', turn: 1, tookMs: 1, outcome: 'done' },
    { type: 'TOOL_REQUESTED', ...tool, summary: long },
    { type: 'TOOL_STARTED', ...tool, summary: long },
    { type: 'TOOL_FINISHED', ...tool, ok: true, tookMs: 1 },
    { type: 'TOOL_DENIED', ...tool, rule: long, reason: long },
    { type: 'PROVIDER_IDLE', turnsDone: 1 },
    { type: 'GATE_PROVEN', proof: 'session_start_hook', cliInstanceId: long },
    { type: 'GATE_LOST', reason: long, lastScreen: long },
    { type: 'PROVIDER_EXITED', exitCode: null, signal: 9, expected: false },
  ];
  it.each(events.map((event) => [event.type, event] as const))(
    '%s fits its durable event at any length',
    (_type, event) => {
      const draft = eventOf(event, context);
      if (!draft) throw new Error('not an event');
      expect(envelopeOf(identity, place, draft).type).toBe(draft.type);
    },
  );

  it('keeps hints inside', () => {
    expect(eventOf({ type: 'HINT_DIFF_AVAILABLE' }, context)).toBeNull();
    expect(eventOf({ type: 'HINT_FILES_TOUCHED', paths: ['/a'] }, context)).toBeNull();
  });
});

describe('lists of files', () => {
  it('are cut to what an event may carry, and say how much is missing', () => {
    const changes = Array.from({ length: 300 }, (_, index) => ({
      path: `${'ä'.repeat(400)}${index}`,
      kind: 'added' as const,
    }));
    const draft = fileTouched(changes, 5);
    expect(draft).toMatchObject({ type: 'file_touched' });
    if (draft.type !== 'file_touched') return;
    expect(draft.files.length).toBeLessThanOrEqual(EVENT_FILES_MAX);
    expect(draft.files.length + draft.more).toBe(305);
    expect(envelopeOf(identity, place, draft).type).toBe('file_touched');
  });

  it('of a large diff are marked as cut, its totals are whole', () => {
    const file = { status: 'added', staged: false, binary: false, added: 1, removed: 0 } as const;
    const files = Array.from({ length: 60 }, (_, index) => ({ ...file, path: `f${index}` }));
    const draft = diffSummaryEvent({ files, linesAdded: 60, linesRemoved: 0, truncated: false }, 'key');
    expect(draft).toMatchObject({ fileCount: 60, linesAdded: 60, truncated: true, key: 'key' });
    expect(envelopeOf(identity, place, draft).type).toBe('diff_summary');
  });
});

describe('what people gave', () => {
  it.each([
    [{}, null],
    [{ prompt: 'do' }, 'do'],
    [
      { task: { title: 'T', goal: 'G', constraints: ['c'], acceptance: ['a', 'b'] } },
      'T\n\nG\n\nConstraints:\n- c\n\nDone when:\n- a\n- b',
    ],
    [{ prompt: 'do', task: { title: 'T', goal: '', constraints: [], acceptance: [] } }, 'do'],
  ])('%o asks the CLI for %s', (inputs, prompt) => expect(composePrompt(inputs)).toBe(prompt));

  it.each([
    ['https://user:pass@host/r.git', 'https://host/r.git'],
    ['https://token@host/r', 'https://host/r'],
    ['/path/with@sign', '/path/with@sign'],
    ['git@host:r', 'git@host:r'],
  ])('%s is told as %s', (url, told) => expect(withoutCredentials(url)).toBe(told));
});
