/** Viewers are called as people call them. */
import { describe, expect, it } from 'vitest';
import { deviceWords } from '../../../../web/src/terminal/device-words.ts';
import { inOrder, viewerWords } from '../../../../web/src/terminal/viewer-words.ts';

const viewer = (viewerId: string, userId: string, device = '', sinceMs = 0) => ({
  viewerId,
  userId,
  device,
  sinceMs,
  mode: 'watch' as const,
});

describe('a device', () => {
  it.each([
    [
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36',
      'Chrome on Linux',
    ],
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0',
      'Edge on Windows',
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1',
      'Safari on an iPhone',
    ],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox on a Mac'],
    [
      'Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36',
      'Chrome on Android',
    ],
    ['curl/8', 'a browser'],
  ])('%s', (userAgent, words) => {
    expect(deviceWords(userAgent)).toBe(words);
  });
});

describe('viewers', () => {
  it('are others by name, and oneself in another window', () => {
    const own = viewer('a', 'ada', 'Firefox on Linux');
    expect(viewerWords(viewer('b', 'grace', 'Safari on an iPhone'), own)).toBe('grace (Safari on an iPhone)');
    expect(viewerWords(viewer('c', 'ada', 'Chrome on Android'), own)).toBe('your other window (Chrome on Android)');
    expect(viewerWords(viewer('d', 'grace'), undefined)).toBe('grace');
  });

  it('are listed with the leader first, then oneself, then as they came', () => {
    const list = [
      viewer('late', 'x', '', 9),
      viewer('early', 'y', '', 1),
      viewer('me', 'z', '', 5),
      viewer('lead', 'w', '', 7),
    ];
    expect(inOrder(list, 'lead', 'me').map(({ viewerId }) => viewerId)).toEqual(['lead', 'me', 'early', 'late']);
  });
});
