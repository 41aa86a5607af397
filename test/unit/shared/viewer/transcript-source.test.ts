import { expect, test } from 'vitest';
import type { TranscriptChunk } from '../../../../shared/http.ts';
import type { StreamAddress } from '../../../../shared/session.ts';
import { type ListedChunk, storedChunks } from '../../../../shared/viewer/transcript-source.ts';

const head = { epoch: 2, offset: 30, seq: 1 };
const all: ListedChunk[] = [
  [1, 0, 0, 10],
  [1, 1, 10, 20],
  [2, 0, 0, 15],
  [2, 1, 15, 30],
].map(([epoch = 0, number = 0, firstOffset = 0, endOffset = 0]) => ({
  ...{ epoch, number, firstOffset, endOffset, sizeBytes: 1, sha256: '' },
  url: `${epoch}/${number}`,
}));
const chunkOf = (url: string) => ({ number: Number(url.split('/')[1]) }) as TranscriptChunk;

/** Lists two at a time; each listing gives new addresses. */
const source = (broken: (url: string) => boolean) => {
  let listings = 0;
  const asked: StreamAddress[] = [];
  const fetched: string[] = [];
  return {
    asked,
    fetched,
    fetchPage: async (from: StreamAddress) => {
      listings += 1;
      asked.push(from);
      const after = all.filter(
        (one) => one.epoch > from.epoch || (one.epoch === from.epoch && one.endOffset > from.offset),
      );
      const chunks = after.slice(0, 2).map((one) => ({ ...one, url: `${one.url}?${listings}` }));
      return { chunks, more: after.length > 2, head, live: false };
    },
    fetchChunk: async (url: string) => {
      fetched.push(url);
      return broken(url) ? null : chunkOf(url);
    },
  };
};
const collect = async (from: StreamAddress, ports: ReturnType<typeof source>) => {
  const seen: string[] = [];
  for await (const { listed, chunk } of storedChunks(ports, from))
    seen.push(`${listed.epoch}/${listed.number}${chunk === null ? ' unreadable' : ''}`);
  return seen;
};

test('all pages over all epochs, each chunk once', async () => {
  const ports = source(() => false);
  expect(await collect({ epoch: 1, offset: 0 }, ports)).toEqual(['1/0', '1/1', '2/0', '2/1']);
  expect(ports.asked).toEqual([
    { epoch: 1, offset: 0 },
    { epoch: 1, offset: 20 },
  ]);
  expect(ports.fetched).toHaveLength(4);
});

test('from an address on: the chunk that holds it comes first', async () => {
  expect(
    await collect(
      { epoch: 1, offset: 12 },
      source(() => false),
    ),
  ).toEqual(['1/1', '2/0', '2/1']);
  expect(
    await collect(
      { epoch: 3, offset: 0 },
      source(() => false),
    ),
  ).toEqual([]);
});

test('an address that has expired is asked for anew, once; what stays unreadable is said to be', async () => {
  const expired = source((url) => url.endsWith('?1'));
  expect(await collect({ epoch: 1, offset: 0 }, expired)).toEqual(['1/0', '1/1', '2/0', '2/1']);
  expect(
    await collect(
      { epoch: 1, offset: 0 },
      source((url) => url.startsWith('2/0')),
    ),
  ).toEqual(['1/0', '1/1', '2/0 unreadable', '2/1']);
});

test('no more than one chunk is fetched ahead', async () => {
  const ports = source(() => false);
  const chunks = storedChunks(ports, { epoch: 1, offset: 0 });
  await chunks.next();
  expect(ports.fetched).toHaveLength(2);
  await chunks.return(undefined);
});
