import { describe, expect, it } from 'vitest';
import { CONTINUE_PROMPT } from '../../../../runner-image/src/adapters/type-prompt.ts';
import { type Message, positionOf } from '../../../../runner-image/src/brokers/scripted-model/conversation.ts';

const user = (...blocks: (string | object)[]): Message => ({
  role: 'user',
  content: blocks.map((block) => (typeof block === 'string' ? { type: 'text', text: block } : { type: 'x', ...block })),
});
const said = (text: string): Message => ({ role: 'assistant', content: [{ type: 'text', text }] });
const called = (id: string, name: string): Message => ({
  role: 'assistant',
  content: [{ type: 'tool_use', id, name, input: {} }],
});
const result = (id: string, text: string, isError = false) => ({
  type: 'tool_result',
  tool_use_id: id,
  content: text,
  is_error: isError,
});
const REMINDER = '<system-reminder>\nnot a person\n</system-reminder>';

describe('positionOf', () => {
  it('finds the prompt between reminders, in a block of its own or not', () => {
    expect(positionOf([user(REMINDER, 'hello')])).toEqual({ turn: 0, turns: 1, calls: [] });
    expect(positionOf([user(`${REMINDER}hello${REMINDER}`)])).toEqual({ turn: 0, turns: 1, calls: [] });
    expect(positionOf([user('hello'), { role: 'system', content: 'about the machine' }])).toEqual({
      turn: 0,
      turns: 1,
      calls: [],
    });
    expect(positionOf([user(REMINDER)])).toEqual({ turn: -1, turns: 1, calls: [] });
    expect(positionOf([user('<system-reminder>never closed, hello')])).toEqual({ turn: -1, turns: 1, calls: [] });
  });

  it('counts the results since the last prompt, with name and error', () => {
    const messages = [
      user('one'),
      called('a', 'Write'),
      user(result('a', 'written'), REMINDER),
      called('b', 'Bash'),
      user(result('b', 'no', true)),
    ];
    expect(positionOf(messages)).toEqual({
      turn: 0,
      turns: 1,
      calls: [
        { name: 'Write', isError: false, resultText: 'written' },
        { name: 'Bash', isError: true, resultText: 'no' },
      ],
    });
    expect(positionOf([...messages, said('done'), { role: 'user', content: 'two' }])).toEqual({
      turn: 1,
      turns: 1,
      calls: [],
    });
  });

  it('takes being asked to go on for no prompt: the script stands where it was', () => {
    const messages = [
      user('one'),
      called('a', 'Bash'),
      user(result('a', 'ok')),
      said('half an ans'),
      user(CONTINUE_PROMPT),
    ];
    expect(positionOf(messages)).toMatchObject({ turn: 0, turns: 1, calls: [{ name: 'Bash' }] });
  });

  it('counts one prompt after an interrupted turn', () => {
    const messages = [
      user('one'),
      called('a', 'Bash'),
      user(result('a', 'interrupted', true), '[Request interrupted by user for tool use]', 'two'),
    ];
    expect(positionOf(messages)).toEqual({ turn: 1, turns: 1, calls: [] });
  });

  it('adds a prompt that came while tools ran to the running turn, and counts on from there', () => {
    const messages = [user('one'), called('a', 'Bash'), user(result('a', 'ok'), REMINDER, 'two', 'three')];
    expect(positionOf(messages)).toMatchObject({ turn: 0, turns: 3, calls: [{ name: 'Bash' }] });
    expect(positionOf([...messages, said('done'), user('four')])).toEqual({ turn: 3, turns: 1, calls: [] });
  });

  it('reads a result that comes in parts', () => {
    const parts = { type: 'tool_result', tool_use_id: 'a', content: [{ type: 'text', text: 'x' }, { type: 'image' }] };
    expect(positionOf([user('one'), called('a', 'Bash'), user(parts)]).calls).toEqual([
      { name: 'Bash', isError: false, resultText: 'x\n' },
    ]);
  });
});
