import { describe, expect, it } from 'vitest';
import { maskedEvent } from '../../../../runner-image/src/session/event-masks.ts';
import type { EventDraft } from '../../../../shared/events.ts';

const SECRET = 'hunter22-is-long';
const call = { toolUseId: 't1', toolName: 'Bash' };
const state = { type: 'session_state_changed', fromState: 'running', toState: 'failed' } as const;

describe('masks of events', () => {
  it.each<[string, EventDraft]>([
    ['a prompt', { type: 'turn_started', turn: 1, prompt: `use ${SECRET}` }],
    ['a command', { type: 'command_executed', command: `echo ${SECRET}`, exitCode: 0, tookMs: 1 }],
    ['a tool', { type: 'tool_requested', ...call, summary: `curl -u me:${SECRET} x` }],
    ['a message', { type: 'provider_message', role: 'assistant', text: `it is ${SECRET}!` }],
    ['a path', { type: 'file_touched', files: [{ path: `a/${SECRET}`, kind: 'added' }], more: 0 }],
    ['a reason', { ...state, reason: { code: 'x', message: 'm', lastScreen: `$ ${SECRET}` } }],
    ['what fits no schema', { type: 'provider_message', role: 'user', text: `${SECRET}${'x'.repeat(9_000)}` }],
  ])('%s does not show a secret', (_, draft) => {
    const { event, count } = maskedEvent(draft, [SECRET]);
    expect(count).toBe(1);
    expect(JSON.stringify(event)).not.toContain('hunter');
    expect(JSON.stringify(event)).toContain('*'.repeat(SECRET.length));
    expect(JSON.stringify(draft)).toContain(SECRET);
  });

  it('counts each, and masks one that the end of the text has cut', () => {
    const draft: EventDraft = { type: 'turn_started', turn: 1, prompt: `${SECRET} ${SECRET} hunter2` };
    const masked = `${'*'.repeat(16)} ${'*'.repeat(16)} *******`;
    expect(maskedEvent(draft, [SECRET])).toEqual({ event: { ...draft, prompt: masked }, count: 3 });
  });

  it('leaves the words of a closed list, without which the event would be lost', () => {
    const draft: EventDraft = { ...state, reason: { code: 'c', message: 'is running', step: 'launching' } };
    expect(maskedEvent(draft, ['running', 'launching', 'failed'])).toEqual({
      event: { ...draft, reason: { code: 'c', message: 'is *******', step: 'launching' } },
      count: 1,
    });
  });

  it('makes no text longer than it was', () => {
    const draft: EventDraft = { type: 'gate_lost', reason: '密'.repeat(500) };
    const { event } = maskedEvent(draft, ['密'.repeat(10)]);
    expect(event).toEqual({ type: 'gate_lost', reason: '*'.repeat(500) });
  });

  it('gives back what holds nothing', () => {
    const draft: EventDraft = { type: 'turn_started', turn: 1, prompt: 'plain' };
    expect(maskedEvent(draft, [SECRET])).toEqual({ event: draft, count: 0 });
    expect(maskedEvent(draft, [])).toEqual({ event: draft, count: 0 });
  });
});
