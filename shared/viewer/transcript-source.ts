/** Stored chunks one after the other, from an address on: pages are asked for as they are needed, and addresses that expired anew. */
import type { z } from 'zod';
import type { Transcript, TranscriptChunk } from '../http.ts';
import type { StreamAddress } from '../session.ts';

type Page = z.infer<typeof Transcript>;
export type ListedChunk = Page['chunks'][number];

export interface TranscriptSource {
  /** The chunks that end after `from`. */
  readonly fetchPage: (from: StreamAddress) => Promise<Page>;
  /** `null` for a chunk that is gone, late or damaged. */
  readonly fetchChunk: (url: string) => Promise<TranscriptChunk | null>;
}

export interface SourcedChunk {
  readonly listed: ListedChunk;
  /** `null` when it could not be read. */
  readonly chunk: TranscriptChunk | null;
}

/** An address lives for minutes, while a recording may be played for hours: a chunk that fails is listed and asked for once more. */
const fetchOne = async ({ fetchPage, fetchChunk }: TranscriptSource, listed: ListedChunk): Promise<SourcedChunk> => {
  const chunk = await fetchChunk(listed.url);
  if (chunk !== null) return { listed, chunk };
  const { epoch, number, firstOffset: offset } = listed;
  const page = await fetchPage({ epoch, offset });
  const fresh = page.chunks.find((one) => one.epoch === epoch && one.number === number);
  return { listed, chunk: fresh === undefined ? null : await fetchChunk(fresh.url) };
};

/** While one chunk is worked on the next is fetched, and no more than that. Rejects as `fetchPage` does. */
export async function* storedChunks(source: TranscriptSource, from: StreamAddress): AsyncGenerator<SourcedChunk> {
  let ahead: Promise<SourcedChunk> | undefined;
  for (let at = from; ; ) {
    const page = await source.fetchPage(at);
    for (const listed of page.chunks) {
      const before = ahead;
      ahead = fetchOne(source, listed);
      // Whoever stops here is not told of a failure that comes later.
      ahead.catch(() => {});
      if (before !== undefined) yield await before;
    }
    const last = page.chunks.at(-1);
    if (!page.more || last === undefined) break;
    at = { epoch: last.epoch, offset: last.endOffset };
  }
  if (ahead !== undefined) yield await ahead;
}
