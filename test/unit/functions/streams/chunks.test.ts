import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chunkPut, listChunks, type StoredChunk } from '../../../../functions/streams/chunks.ts';
import { MemoryDatabase } from '../../../fakes/memory-database.ts';

const ref = { tenantId: 'acme', sessionId: 'ses_01M818DT2M4AAKW8PWHM6KKR6T' };
const filled = async (rows: readonly (readonly [epoch: number, number: number, first: number, end: number])[]) => {
  const db = new MemoryDatabase();
  for (const [epoch, number, firstOffset, endOffset] of rows) {
    const envelope = {
      v: 1 as const,
      ...ref,
      rseq: 1,
      seq: 1,
      ts: 1,
      offset: 0,
      type: 'transcript_chunk_stored' as const,
    };
    await db.write(
      chunkPut(ref, { ...envelope, epoch, number, firstOffset, endOffset, key: 'k', sizeBytes: 1, sha256: '' }),
    );
  }
  return db;
};
const nameOf = ({ epoch, number }: StoredChunk): string => `${epoch}/${number}`;

describe('stored chunks', () => {
  test('from any address: every byte after it is listed, page by page, and nothing that ends before it', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(sizes, { minLength: 1, maxLength: 3 }),
        fc.record({ epoch: fc.integer({ min: 1, max: 4 }), offset: fc.integer({ min: 0, max: 700 }) }),
        fc.integer({ min: 1, max: 9 }),
        async (epochs, from, limit) => {
          const rows = epochs.flatMap((ends, index) => {
            let offset = 0;
            // Numbers of chunks that were given up are missing.
            return ends.map((size, number) => {
              offset += size;
              return [index + 1, number * 2, offset - size, offset] as const;
            });
          });
          const db = await filled(rows);
          const seen: string[] = [];
          for (let at = from; ; ) {
            const { chunks, more } = await listChunks(db, ref, at, limit);
            expect(chunks.length).toBeLessThanOrEqual(limit);
            seen.push(...chunks.map(nameOf));
            const last = chunks.at(-1);
            if (!more || last === undefined) break;
            at = { epoch: last.epoch, offset: last.endOffset };
          }
          const expected = rows.filter(
            ([epoch, , , end]) => epoch > from.epoch || (epoch === from.epoch && end > from.offset),
          );
          expect(seen).toEqual(expected.map(([epoch, number]) => `${epoch}/${number}`));
        },
      ),
      { seed: 7, numRuns: 200 },
    );
  });

  test('of a flood are found without reading those before', async () => {
    const db = await filled(
      Array.from({ length: 5_000 }, (_, number) => [1, number, number * 10, number * 10 + 10] as const),
    );
    let rows = 0;
    const { query } = db;
    db.query = async (asked) => {
      const page = await query.call(db, asked);
      rows += page.items.length;
      return page;
    };
    const { chunks, more } = await listChunks(db, ref, { epoch: 1, offset: 40_005 }, 5);
    expect(chunks.map(nameOf)).toEqual(['1/4000', '1/4001', '1/4002', '1/4003', '1/4004']);
    expect(more).toBe(true);
    expect(rows).toBeLessThan(30);
  });

  test('that overlap, as a crash leaves them, lose no byte', async () => {
    const db = await filled([
      [1, 0, 0, 10],
      [1, 1, 10, 20],
      [1, 2, 10, 15],
      [1, 3, 15, 25],
      [1, 4, 25, 40],
    ]);
    for (let offset = 0; offset < 40; offset += 1) {
      const { chunks } = await listChunks(db, ref, { epoch: 1, offset }, 10);
      let covered = offset;
      for (const { firstOffset, endOffset } of chunks)
        if (firstOffset <= covered) covered = Math.max(covered, endOffset);
      expect(covered).toBe(40);
    }
  });
});
