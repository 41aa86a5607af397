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
const numbers = ({ deliver }: { deliver: readonly InputFrame[] }) => deliver.map(({ inputSeq }) => inputSeq);

describe('input of API calls', () => {
  it('is taken once each, in the order in which it comes, and answered each time', () => {
    const api = new ApiInput();
    const offers = [1, 4, 3, 4, 1].map((seq) => api.offer(frame(seq), true));
    expect(offers.flatMap(numbers)).toEqual([1, 4, 3]);
    expect(offers.flatMap(({ replies }) => replies)).toMatchObject(
      [1, 4, 3, 4, 1].map((inputSeq) => ({ kind: 'ack', inputSeq })),
    );
  });

  it('is refused while nothing runs, and taken when it comes again', () => {
    const api = new ApiInput();
    expect(api.offer(frame(7), false)).toMatchObject({
      deliver: [],
      replies: [{ kind: 'reset', expected: 7, reason: 'not_running' }],
    });
    expect(numbers(api.offer(frame(7), true))).toEqual([7]);
  });

  it('is known after a crash: from what was saved, and from what the terminal got', () => {
    const before = new ApiInput();
    before.offer(frame(1), true);
    const after = new ApiInput(before.saved());
    after.written(2);
    expect([1, 2, 3].flatMap((seq) => numbers(after.offer(frame(seq), true)))).toEqual([3]);
  });

  it('remembers a bounded number, and refuses what is older than all of them', () => {
    const api = new ApiInput();
    const last = API_INPUT_REMEMBERED + 5;
    for (let seq = 1; seq <= last; seq += 1) api.offer(frame(seq), true);
    expect(api.saved()).toHaveLength(API_INPUT_REMEMBERED);
    expect(api.offer(frame(3), true)).toMatchObject({ deliver: [], replies: [{ kind: 'reset', expected: 3 }] });
    expect(api.offer(frame(last), true)).toMatchObject({ deliver: [], replies: [{ kind: 'ack' }] });
  });
});
