/** Who leads after which list, and what asking for the keyboard comes to. */
import { describe, expect, it } from 'vitest';
import { CONTROL_REQUEST_AGAIN_MS, CONTROL_REQUEST_ANSWER_MS } from '../../../../shared/limits.ts';
import { StreamSeat } from '../../../../shared/viewer/stream-seat.ts';

const person = (viewerId: string) => ({ viewerId, mode: 'watch' as const, userId: viewerId, sinceMs: 0, device: '' });
const list = (rev: number, controllerId: string | null, over: Record<string, unknown> = {}) => ({
  rev,
  viewers: [person('me'), person('grace')],
  controllerId,
  controlTerm: rev,
  request: null,
  ...over,
});
const request = (viewerId: string, declined = false) => ({ request: { viewerId, sinceMs: 0, declined } });

describe('a seat', () => {
  it('follows the newest list only', () => {
    const seat = new StreamSeat('me', 'control');
    expect(seat.accept(list(4, 'me'), 0)).toBe(true);
    expect(seat.view.mode).toBe('control');
    expect(seat.accept(list(3, 'grace'), 0)).toBe(false);
    expect(seat.view.mode).toBe('control');
  });

  it('asks to watch once the lead was lost, and to lead once it was given', () => {
    const seat = new StreamSeat('me', 'control');
    seat.accept(list(1, 'me'), 0);
    seat.accept(list(2, 'grace'), 0);
    expect(seat.wanted).toBe('watch');
    seat.accept(list(3, 'me'), 0);
    expect(seat.wanted).toBe('control');
  });

  it('is taken only while its leader is there', () => {
    const seat = new StreamSeat('me', 'watch');
    seat.accept(list(1, 'grace'), 0);
    expect(seat.isTaken).toBe(true);
    seat.accept(list(2, 'gone'), 0);
    expect(seat.isTaken).toBe(false);
    seat.accept(list(3, null), 0);
    expect(seat.isTaken).toBe(false);
  });

  it('shows the leader who asks, until it was answered', () => {
    const seat = new StreamSeat('me', 'control');
    seat.accept(list(1, 'me', request('grace')), 0);
    expect(seat.view.askedBy).toMatchObject({ viewerId: 'grace' });
    seat.accept(list(2, 'me', request('grace', true)), 0);
    expect(seat.view.askedBy).toBeNull();
    seat.accept(list(3, 'me', request('nobody')), 0);
    expect(seat.view.askedBy).toBeNull();
  });
});

describe('asking', () => {
  const asking = () => {
    const seat = new StreamSeat('me', 'watch');
    seat.accept(list(1, 'grace'), 0);
    seat.ask(0);
    return seat;
  };

  it('is repeated while it waits, and ends unanswered', () => {
    const seat = asking();
    expect(seat.tick(CONTROL_REQUEST_AGAIN_MS - 1)).toEqual({ again: false, changed: false });
    expect(seat.tick(CONTROL_REQUEST_AGAIN_MS)).toEqual({ again: true, changed: false });
    expect(seat.tick(CONTROL_REQUEST_ANSWER_MS)).toEqual({ again: false, changed: true });
    expect(seat.view.asking).toBe('unanswered');
  });

  it('that was declined stays so, whatever list comes, until it is asked anew', () => {
    const seat = asking();
    seat.accept(list(2, 'grace', request('me', true)), 100);
    expect(seat.view.asking).toBe('declined');
    expect(seat.tick(CONTROL_REQUEST_ANSWER_MS * 2)).toEqual({ again: false, changed: false });
    seat.ask(CONTROL_REQUEST_ANSWER_MS * 2);
    expect(seat.view.asking).toBe('waiting');
  });

  it('is over when it is granted or taken back', () => {
    const granted = asking();
    granted.accept(list(2, 'me'), 100);
    expect(granted.view).toMatchObject({ asking: null, mode: 'control' });
    const withdrawn = asking();
    withdrawn.want('watch');
    expect(withdrawn.view.asking).toBeNull();
    withdrawn.accept(list(2, 'grace', request('me', true)), 100);
    expect(withdrawn.view.asking).toBeNull();
  });
});
