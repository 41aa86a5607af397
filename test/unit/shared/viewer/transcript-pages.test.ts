import { expect, test } from 'vitest';
import { allTranscriptPages } from '../../../../shared/viewer/transcript-pages.ts';

const chunk = (number: number) => ({
  epoch: 1,
  number,
  firstOffset: number * 10,
  endOffset: number * 10 + 10,
  sizeBytes: 1,
  sha256: '',
  url: '',
});
const pageOf = (numbers: number[], more: boolean) => ({
  chunks: numbers.map(chunk),
  more,
  live: false,
  head: { epoch: 1, offset: 50, seq: 9 },
});

test('pages are asked for from the end of the last chunk until there are no more', async () => {
  const asked: string[] = [];
  const whole = await allTranscriptPages(async ({ epoch, offset }) => {
    asked.push(`${epoch}:${offset}`);
    return offset === 0 ? pageOf([0, 1], true) : offset === 20 ? pageOf([2, 3], true) : pageOf([4], false);
  });
  expect(asked).toEqual(['1:0', '1:20', '1:40']);
  expect(whole.chunks.map(({ number }) => number)).toEqual([0, 1, 2, 3, 4]);
});

test('an empty page ends it, whatever it says', async () => {
  expect((await allTranscriptPages(async () => pageOf([], true))).chunks).toEqual([]);
});
