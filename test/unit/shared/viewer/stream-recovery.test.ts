/** "N events caught up" is what happened between the first cut and the moment everything is there again. */
import { describe, expect, it } from 'vitest';
import { StreamRecovery } from '../../../../shared/viewer/stream-recovery.ts';

describe('StreamRecovery', () => {
  it('tells nothing of a first attach', () => {
    const recovery = new StreamRecovery();
    recovery.attached(7);
    expect(recovery.take(true, 1)).toBeNull();
  });

  it('counts what happened during a cut, once the terminal has caught up, once', () => {
    const recovery = new StreamRecovery();
    recovery.attached(7);
    recovery.seen(9);
    recovery.cut();
    expect(recovery.take(true, 1)).toBeNull();
    recovery.attached(23);
    expect(recovery.take(false, 2)).toBeNull();
    expect(recovery.take(true, 3)).toEqual({ events: 14, headSeq: 23, atMs: 3 });
    expect(recovery.take(true, 4)).toBeNull();
  });

  it('counts over several cuts from the first one', () => {
    const recovery = new StreamRecovery();
    recovery.attached(3);
    recovery.cut();
    recovery.attached(5);
    recovery.cut();
    expect(recovery.take(true, 1)).toBeNull();
    recovery.attached(8);
    expect(recovery.take(true, 2)).toMatchObject({ events: 5 });
  });

  it('is not below nothing when the answer is older than what was seen', () => {
    const recovery = new StreamRecovery();
    recovery.seen(9);
    recovery.cut();
    recovery.attached(8);
    expect(recovery.take(true, 1)).toMatchObject({ events: 0 });
  });
});
