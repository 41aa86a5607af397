/** Decision table of attaching again. */
import { describe, expect, it } from 'vitest';
import { ATTACH_DEADLINE_MS, RECONNECT_BASE_MS } from '../../../../shared/limits.ts';
import { AttachSchedule } from '../../../../shared/viewer/attach-schedule.ts';
import { fixedRandom } from './fake-socket.ts';

describe('AttachSchedule', () => {
  it('gives an answer up at the deadline', () => {
    const schedule = new AttachSchedule();
    schedule.sent(100);
    expect(schedule.isDue(99 + ATTACH_DEADLINE_MS, false)).toBe(false);
    expect(schedule.isDue(100 + ATTACH_DEADLINE_MS, false)).toBe(true);
  });

  it('is done once answered, unless that was not enough', () => {
    const schedule = new AttachSchedule();
    schedule.sent(0);
    schedule.answered();
    expect(schedule.isDue(ATTACH_DEADLINE_MS * 9, false)).toBe(false);
    expect(schedule.isDue(ATTACH_DEADLINE_MS - 1, true)).toBe(false);
    expect(schedule.isDue(ATTACH_DEADLINE_MS, true)).toBe(true);
  });

  it('comes sooner after a refusal, doubling, never later than the deadline', () => {
    const schedule = new AttachSchedule();
    const random = fixedRandom(1);
    const waits = [0, 1, 2, 3, 4, 5].map(() => {
      schedule.sent(0);
      schedule.refused(0, random);
      return [RECONNECT_BASE_MS, RECONNECT_BASE_MS * 2, RECONNECT_BASE_MS * 4, ATTACH_DEADLINE_MS].find((ms) =>
        schedule.isDue(ms, false),
      );
    });
    expect(waits).toEqual([250, 500, 1_000, 5_000, 5_000, 5_000]);
    schedule.answered();
    schedule.sent(0);
    schedule.refused(0, random);
    expect(schedule.isDue(RECONNECT_BASE_MS, false)).toBe(true);
  });

  it('is not hurried by an error that answers something else', () => {
    const schedule = new AttachSchedule();
    schedule.sent(0);
    schedule.answered();
    schedule.refused(0, fixedRandom(0));
    expect(schedule.isDue(1, false)).toBe(false);
  });
});
