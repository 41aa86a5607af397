import { describe, expect, it } from 'vitest';
import { ApiInput } from '../../../../runner-image/src/session/api-input.ts';
import type { InputFrame } from '../../../../runner-image/src/session/input-order.ts';
import { API_VIEWER_ID } from '../../../../shared/frames.ts';
import { API_INPUT_REMEMBERED } from '../../../../shared/limits.ts';

const frame = (inputSeq: number): InputFrame => ({
  viewerId: API_VIEWER_ID,
  source: 'api',
  controlTerm: 0,
  inputSeq,
  data: String(inputSeq),
});
const taken = (api: ApiInput, inputSeq: number) => {
  const offer = api.offer(frame(inputSeq), null);
  return offer.kind === 'take' ? api.settle(frame(inputSeq), 'taken') : offer;
};

describe('input of API calls', () => {
  it('is taken once each, in whatever order it comes, and answered each time', () => {
    const api = new ApiInput();
    const kinds = [1, 4, 3, 4, 1].map((seq) => api.offer(frame(seq), null).kind);
    expect(kinds).toEqual(['take', 'take', 'take', 'wait', 'wait']);
    for (const seq of [1, 4, 3]) expect(api.settle(frame(seq), 'taken')).toMatchObject({ kind: 'ack', inputSeq: seq });
    expect(api.offer(frame(4), null)).toMatchObject({ kind: 'ack', inputSeq: 4 });
  });

  it('that was refused stays refused: its caller was told that it may be sent anew', () => {
    const api = new ApiInput();
    expect(api.offer(frame(7), 'not_running')).toMatchObject({ kind: 'reset', expected: 7, reason: 'not_running' });
    expect(api.offer(frame(7), null)).toMatchObject({ kind: 'reset', expected: 7 });
    expect(api.offer(frame(8), null).kind).toBe('take');
    expect(api.settle(frame(8), 'refused')).toMatchObject({ kind: 'reset', expected: 8 });
    expect(api.offer(frame(8), null)).toMatchObject({ kind: 'reset', expected: 8 });
  });

  it('is known after a crash: from what was saved, and from what the terminal got', () => {
    const before = new ApiInput();
    taken(before, 1);
    before.offer(frame(2), 'overflow');
    before.offer(frame(3), null);
    before.offer(frame(4), null);
    const after = new ApiInput(before.saved());
    after.written(3);
    expect([1, 2, 3, 4].map((seq) => after.offer(frame(seq), null).kind)).toEqual(['ack', 'reset', 'ack', 'take']);
  });

  it('remembers a bounded number, and refuses what is older than all of them', () => {
    const api = new ApiInput();
    const last = API_INPUT_REMEMBERED + 5;
    for (let seq = 1; seq <= last; seq += 1) taken(api, seq);
    expect(api.saved()).toHaveLength(API_INPUT_REMEMBERED);
    expect(api.offer(frame(3), null)).toMatchObject({ kind: 'reset', expected: 3, reason: 'overflow' });
    expect(api.offer(frame(last), null)).toMatchObject({ kind: 'ack' });
  });
});
