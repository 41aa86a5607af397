import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FinishedCall } from '../../../../runner-image/src/brokers/scripted-model/conversation.ts';
import { nextAnswer, PAST_THE_END_TEXT } from '../../../../runner-image/src/brokers/scripted-model/next-answer.ts';
import type { Scenario, ScenarioStep } from '../../../../shared/scenario.ts';

const scenario: Scenario = {
  turns: [
    {
      steps: [
        { say: 'I write.' },
        { waitMs: 5 },
        { write: { path: 'src/a.ts', content: 'a' } },
        { run: 'npm test' },
        { say: 'All done.' },
      ],
    },
    { steps: [{ run: 'ls' }] },
    { steps: [] },
  ],
};
const call = (name: string, isError = false, resultText = 'ok'): FinishedCall => ({ name, isError, resultText });
const at = (turn: number, ...calls: FinishedCall[]) => nextAnswer(scenario, '/work/space', { turn, turns: 1, calls });
const write = { kind: 'tool', name: 'Write', input: { file_path: '/work/space/src/a.ts', content: 'a' } };

describe('nextAnswer', () => {
  it('plays a turn, call by call, to its last words', () => {
    expect(at(0)).toEqual({
      parts: [{ kind: 'text', text: 'I write.' }, { kind: 'wait', waitMs: 5 }, write],
      finishesTurn: undefined,
    });
    expect(at(0, call('Write')).parts).toMatchObject([{ kind: 'tool', name: 'Bash', input: { command: 'npm test' } }]);
    expect(at(0, call('Write'), call('Bash'))).toEqual({
      parts: [{ kind: 'text', text: 'All done.' }],
      finishesTurn: 0,
    });
  });

  it('ends a turn without last words in words of its own', () => {
    expect(at(1, call('Bash'))).toEqual({ parts: [{ kind: 'text', text: 'Done.' }], finishesTurn: 1 });
    expect(at(2)).toEqual({ parts: [{ kind: 'text', text: 'Done.' }], finishesTurn: 2 });
  });

  it('plays joined turns one after the other and ends them together', () => {
    const joined = (...calls: FinishedCall[]) => nextAnswer(scenario, '/work/space', { turn: 0, turns: 2, calls });
    const third = joined(call('Write'), call('Bash'));
    expect(third).toMatchObject({
      parts: [{ text: 'All done.' }, { input: { command: 'ls' } }],
      finishesTurn: undefined,
    });
    expect(joined(call('Write'), call('Bash'), call('Bash')).finishesTurn).toBe(1);
    expect(nextAnswer(scenario, '/w', { turn: 2, turns: 5, calls: [] }).finishesTurn).toBe(2);
  });

  it('says so past the last turn', () => {
    expect(at(3)).toEqual({ parts: [{ kind: 'text', text: PAST_THE_END_TEXT }], finishesTurn: undefined });
    expect(at(-1).finishesTurn).toBeUndefined();
  });

  it('goes on after a denied call', () => {
    expect(at(0, call('Write', true, 'denied by policy')).parts).toMatchObject([{ name: 'Bash' }]);
  });

  it('reads a file first when the CLI insists, once, without repeating what was said', () => {
    const insists = call('Write', true, 'File has not been read yet. Read it first before writing to it.');
    expect(at(0, insists).parts).toEqual([
      { kind: 'tool', name: 'Read', input: { file_path: '/work/space/src/a.ts' } },
    ]);
    expect(at(0, insists, call('Read')).parts).toEqual([write]);
    expect(at(0, insists, call('Read'), call('Write')).parts).toMatchObject([{ name: 'Bash' }]);
    expect(at(0, insists, call('Read'), insists).parts).toMatchObject([{ name: 'Bash' }]);
  });

  it('plays every call of any turn exactly once, in order, and then ends it', () => {
    const step = fc.oneof(
      fc.record({ say: fc.string() }),
      fc.record({ run: fc.string({ minLength: 1 }) }),
      fc.record({ waitMs: fc.integer({ min: 0, max: 9 }) }),
      fc.record({ write: fc.record({ path: fc.constant('f'), content: fc.string() }) }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps: ScenarioStep[]) => {
        const wanted = steps.flatMap((one) => ('run' in one ? [one.run] : 'write' in one ? [one.write.content] : []));
        const played: string[] = [];
        const calls: FinishedCall[] = [];
        for (;;) {
          const answer = nextAnswer({ turns: [{ steps }] }, '/w', { turn: 0, turns: 1, calls });
          const tool = answer.parts.find((part) => part.kind === 'tool');
          if (tool === undefined) {
            expect(answer.finishesTurn).toBe(0);
            break;
          }
          expect(answer.finishesTurn).toBeUndefined();
          played.push(tool.input.command ?? tool.input.content ?? '');
          calls.push(call(tool.name));
        }
        expect(played).toEqual(wanted);
      }),
    );
  });
});
