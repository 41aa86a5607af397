/** What counts as typing: a terminal reports its focus and the mouse's way by itself, and nobody leads a session by that. */
import { describe, expect, it, vi } from 'vitest';
import type { Log } from '../../../../runner-image/src/log.ts';
import { isOnlyReports } from '../../../../runner-image/src/session/terminal-reports.ts';
import { type Keyboard, Typing } from '../../../../runner-image/src/session/typing.ts';
import { systemClock } from '../../../../shared/clock.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { API_VIEWER_ID } from '../../../../shared/frames.ts';

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };

const start = () => {
  const typed: string[] = [];
  const led: string[] = [];
  const recorded: EventDraft[] = [];
  const sent: unknown[] = [];
  const lanes = new Set<string>();
  const keyboard: Keyboard = {
    type: async (data, once) => {
      typed.push(data);
      lanes.add(once?.lane ?? '');
    },
    promptsFull: () => null,
    submit: async () => ({ kind: 'sent' }),
  };
  const typing = new Typing({
    ...{ sessionId: 'ses_01J0000000000000000000000A', epoch: 1, capability: 'cap' },
    clock: { ...systemClock, after: () => () => {} },
    log: silent,
    send: (frame) => sent.push(JSON.parse(frame)),
    record: (draft) => recorded.push(draft),
    onTyped: ({ data }) => led.push(data),
  });
  typing.setKeyboard(keyboard);
  typing.setControl({ controllerId: 'me', controlTerm: 1 });
  let inputSeq = 0;
  const input = (data: string) => {
    inputSeq += 1;
    typing.onInput({ viewerId: 'me', source: 'viewer', controlTerm: 1, inputSeq, data });
  };
  const apiInput = (seq: number, submit = false) =>
    typing.onInput({ viewerId: API_VIEWER_ID, source: 'api', controlTerm: 0, inputSeq: seq, data: `${seq}`, submit });
  return { typing, typed, led, recorded, input, apiInput, sent, lanes, keyboard };
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

describe('input of API calls', () => {
  const settled = (sent: readonly unknown[], count: number) => vi.waitFor(() => expect(sent).toHaveLength(count));

  it('is typed whatever its order, in a lane of its own each, and answered when the terminal has it', async () => {
    const { typed, sent, lanes, apiInput } = start();
    const order = [17, 2, 1, 33, 16];
    for (const seq of order) apiInput(seq);
    await settled(sent, order.length);
    expect(typed).toEqual(order.map(String));
    expect(lanes.size).toBe(order.length);
    expect(sent).toMatchObject(order.map((inputSeq) => ({ type: 'input_ack', inputSeq })));
  });

  it('that the terminal or the queue of prompts does not take is answered so, and never as taken', async () => {
    const { typing, sent, apiInput, keyboard } = start();
    const type = async () => Promise.reject(new Error('the program does not read its input'));
    typing.setKeyboard({ ...keyboard, type, promptsFull: () => '100 prompts wait' });
    apiInput(1);
    await settled(sent, 1);
    apiInput(2, true);
    await settled(sent, 2);
    expect(sent).toMatchObject([
      { type: 'input_reset', expected: 1 },
      { type: 'input_reset', expected: 2 },
    ]);
    typing.setKeyboard(keyboard);
    apiInput(2, true);
    apiInput(3, true);
    await settled(sent, 4);
    expect(sent.slice(2)).toMatchObject([
      { type: 'input_reset', expected: 2 },
      { type: 'input_ack', inputSeq: 3 },
    ]);
  });
});
