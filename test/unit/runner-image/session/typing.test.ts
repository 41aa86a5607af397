/** What counts as typing: a terminal reports its focus and the mouse's way by itself, and nobody leads a session by that. */
import { describe, expect, it } from 'vitest';
import type { Log } from '../../../../runner-image/src/log.ts';
import { isOnlyReports } from '../../../../runner-image/src/session/terminal-reports.ts';
import { Typing } from '../../../../runner-image/src/session/typing.ts';
import { systemClock } from '../../../../shared/clock.ts';
import type { EventDraft } from '../../../../shared/events.ts';

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };

const start = () => {
  const typed: string[] = [];
  const led: string[] = [];
  const recorded: EventDraft[] = [];
  const typing = new Typing({
    ...{ sessionId: 'ses_01J0000000000000000000000A', epoch: 1, capability: 'cap' },
    clock: { ...systemClock, after: () => () => {} },
    log: silent,
    send: () => {},
    record: (draft) => recorded.push(draft),
    onTyped: ({ data }) => led.push(data),
  });
  typing.setKeyboard({
    type: async (data) => void typed.push(data),
    submit: async () => ({ kind: 'sent', confirmed: false }),
  });
  typing.setControl({ controllerId: 'me', controlTerm: 1 });
  let inputSeq = 0;
  const input = (data: string) => {
    inputSeq += 1;
    typing.onInput({ viewerId: 'me', source: 'viewer', controlTerm: 1, inputSeq, data });
  };
  return { typing, typed, led, recorded, input };
};

describe('input of a viewer', () => {
  it('passes focus reports on to the program, and takes nobody for a leader by them', () => {
    const { typing, typed, led, recorded, input } = start();
    for (const report of ['\x1b[I', '\x1b[O', '\x1b[O\x1b[I', '\x1b[<35;10;4M']) input(report);
    typing.end();
    expect(typed).toEqual(['\x1b[I', '\x1b[O', '\x1b[O\x1b[I', '\x1b[<35;10;4M']);
    expect(led).toEqual([]);
    expect(recorded).toEqual([]);
  });

  it('takes keys, clicks and keys beside reports for what a person did', () => {
    const { typing, led, recorded, input } = start();
    const acts = ['a', '\r', '\x1b', '\x1b[A', '\x1b[<0;10;4M', '\x1b[Ia'];
    for (const act of acts) input(act);
    typing.end();
    expect(led).toEqual(acts);
    expect(recorded).toEqual([
      { type: 'input_received', viewerId: 'me', sizeBytes: acts.join('').length, source: 'viewer' },
    ]);
    expect(isOnlyReports('')).toBe(false);
  });
});
