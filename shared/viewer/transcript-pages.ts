/** A long transcript is listed page by page: Lambda answers at most 6 MB, and each chunk brings an address of a kilobyte. */
import type { z } from 'zod';
import type { Transcript } from '../http.ts';
import type { StreamAddress } from '../session.ts';

type Page = z.infer<typeof Transcript>;

/**
 * Every page from the beginning as one; the head and `live` are the last page's.
 * @param fetchPage asks for the chunks that end after `from`
 */
export const allTranscriptPages = async (fetchPage: (from: StreamAddress) => Promise<Page>): Promise<Page> => {
  const chunks: Page['chunks'] = [];
  for (let from: StreamAddress = { epoch: 1, offset: 0 }; ; ) {
    const page = await fetchPage(from);
    chunks.push(...page.chunks);
    const last = page.chunks.at(-1);
    if (!page.more || last === undefined) return { ...page, chunks };
    from = { epoch: last.epoch, offset: last.endOffset };
  }
};
