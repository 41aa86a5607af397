/** Decision table of the wanted size: when to ask again, and how revisions rise. */
import { describe, expect, it } from 'vitest';
import { VIEWER_RESIZE_AGAIN_MS } from '../../../../shared/limits.ts';
import { WantedSize } from '../../../../shared/viewer/wanted-size.ts';

const OURS = { cols: 100, rows: 30 };
const OTHER = { cols: 80, rows: 24 };

describe('WantedSize', () => {
  it('says what changes', () => {
    const wanted = new WantedSize(OURS);
    expect(wanted.want({ ...OURS })).toBe(false);
    expect(wanted.want(OTHER)).toBe(true);
    expect(wanted.size).toEqual(OTHER);
  });

  it('asks again after another size stood for a while, counted from the first sight', () => {
    const wanted = new WantedSize(OURS);
    wanted.shown(OTHER, 0);
    wanted.shown(OTHER, VIEWER_RESIZE_AGAIN_MS - 1);
    expect(wanted.takeAgain(VIEWER_RESIZE_AGAIN_MS - 1)).toBe(false);
    expect(wanted.takeAgain(VIEWER_RESIZE_AGAIN_MS)).toBe(true);
    expect(wanted.takeAgain(VIEWER_RESIZE_AGAIN_MS * 9)).toBe(false);
  });

  it('does not ask when ours came after all', () => {
    const wanted = new WantedSize(OURS);
    wanted.shown(OTHER, 0);
    wanted.shown(OURS, 10);
    expect(wanted.takeAgain(VIEWER_RESIZE_AGAIN_MS)).toBe(false);
  });

  it('numbers with the clock, and rises where that stands still or goes back', () => {
    const wanted = new WantedSize(OURS);
    expect([wanted.nextRev(1_000), wanted.nextRev(1_000), wanted.nextRev(5)]).toEqual([1_000, 1_001, 1_002]);
  });
});
