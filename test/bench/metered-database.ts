/** Counts what DynamoDB would bill for each call, from the sizes of the items as they stand before and after it. */
import type { Check, Database, Item, Key, TableName, Write } from '../../functions/database.ts';
import { TABLES } from '../../infra/topology.ts';
import { MemoryDatabase } from '../fakes/memory-database.ts';
import { ASSUMED } from './prices.ts';

export interface DatabaseUnits {
  reads: number;
  writes: number;
  /** Part of `writes`: entries of indexes. */
  indexWrites: number;
  /** Times somebody waited for it: calls side by side are one. */
  waits: number;
}

/** As DynamoDB counts it: names and texts in UTF-8, two digits of a number in a byte, a little for each list and map. */
const valueBytes = (value: unknown): number => {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (typeof value === 'number') return Math.ceil(String(Math.abs(value)).replace('.', '').length / 2) + 1;
  if (Array.isArray(value)) return 3 + value.reduce((sum: number, entry) => sum + 1 + valueBytes(entry), 0);
  if (typeof value !== 'object' || value === null) return 1;
  return Object.entries(value).reduce((sum, [name, part]) => sum + 1 + Buffer.byteLength(name) + valueBytes(part), 3);
};
const sizeBytes = (item: Item | null): number =>
  Object.entries(item ?? {}).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + valueBytes(value), 0);
const writeUnits = (bytes: number): number => Math.max(1, Math.ceil(bytes / 1_024));
const readUnits = (bytes: number): number => Math.max(1, Math.ceil(bytes / 4_096));

/** The entry of an item in an index, or nothing where it has none of its keys. */
const entryOf = (
  item: Item | null,
  index: { readonly keys: readonly string[]; readonly projection: unknown },
): Item | null => {
  if (item === null || index.keys.some((key) => item[key] === undefined)) return null;
  if (index.projection === 'ALL') return item;
  const names = ['pk', 'sk', ...index.keys, ...(Array.isArray(index.projection) ? index.projection : [])];
  return Object.fromEntries(names.map((name) => [name, item[name]]));
};

/** A changed entry is one write; where its key moved it is a delete and a put. */
const indexUnits = (table: TableName, before: Item | null, after: Item | null): number => {
  const { indexes } = TABLES.find(({ name }) => name === table) ?? { indexes: [] };
  return indexes.reduce((sum, { partitionKey, sortKey, projection }) => {
    const keys = [partitionKey.name, ...(sortKey === undefined ? [] : [sortKey.name])];
    const [old, fresh] = [entryOf(before, { keys, projection }), entryOf(after, { keys, projection })];
    if (JSON.stringify(old) === JSON.stringify(fresh)) return sum;
    if (old === null || fresh === null) return sum + writeUnits(sizeBytes(old ?? fresh));
    const moved = keys.some((key) => old[key] !== fresh[key]);
    return sum + (moved ? writeUnits(sizeBytes(old)) : 0) + writeUnits(sizeBytes(fresh));
  }, 0);
};

export const meteredDatabase = () => {
  const db = new MemoryDatabase();
  const units: DatabaseUnits = { reads: 0, writes: 0, indexWrites: 0, waits: 0 };
  let inFlight = 0;
  const waitFor = async <T>(call: Promise<T>): Promise<T> => {
    if (inFlight === 0) units.waits += 1;
    inFlight += 1;
    return call.finally(() => {
      inFlight -= 1;
    });
  };
  const keyOf = (write: Write | Check): Key =>
    write.kind === 'put' ? { pk: write.item.pk, sk: write.item.sk } : write.key;
  const look = (writes: readonly (Write | Check)[]) =>
    Promise.all(writes.map((write) => db.get(write.table, keyOf(write))));
  const count = async (writes: readonly (Write | Check)[], before: readonly (Item | null)[], factor: 1 | 2) => {
    const after = await look(writes);
    writes.forEach(({ table }, at) => {
      const [old = null, fresh = null] = [before[at], after[at]];
      const index = indexUnits(table, old, fresh);
      units.writes += factor * writeUnits(Math.max(sizeBytes(old), sizeBytes(fresh))) + index;
      units.indexWrites += index;
    });
  };
  const metered: Database = {
    get: async (table, key) => {
      const item = await waitFor(db.get(table, key));
      units.reads += readUnits(sizeBytes(item));
      return item;
    },
    query: async (query) => {
      const page = await waitFor(db.query(query));
      const bytes = page.items.reduce((sum, item) => sum + sizeBytes(item), 0);
      // An index is asked for a whole cell, and read in pages: a session pays for its own entry, and a share of a page's begun unit.
      units.reads += query.index === undefined ? readUnits(bytes) : 0.5 * (bytes / 4_096 + 1 / ASSUMED.sessionsPerCell);
      return page;
    },
    write: async (write) => {
      const before = await look([write]);
      const result = await waitFor(db.write(write));
      await count([write], before, 1);
      return result;
    },
    transact: async (writes) => {
      const before = await look(writes);
      const result = await waitFor(db.transact(writes));
      await count(writes, before, 2);
      return result;
    },
  };
  return { db: metered, units, items: db };
};
