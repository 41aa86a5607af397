/** One suite for the Database port, against the fake that unit tests use and against the embedded engine: what one does, both do. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { dynamoDatabase } from '../../functions/aws/dynamo-database.ts';
import { type Database, queryAll, type TableName, type Update } from '../../functions/database.ts';
import { TABLES } from '../../infra/topology.ts';
import { startDynamodb } from '../../local/dynamodb/dynoxide.ts';
import { ensureTables } from '../../local/dynamodb/ensure-tables.ts';
import { systemClock } from '../../shared/clock.ts';
import { seededRandom } from '../fakes/control-plane-ports.ts';
import { MemoryDatabase } from '../fakes/memory-database.ts';

const engines: { name: string; open: () => Promise<{ db: Database; close: () => Promise<void> }> }[] = [
  { name: 'memory', open: async () => ({ db: new MemoryDatabase(), close: async () => {} }) },
  {
    name: 'dynoxide',
    open: async () => {
      const dir = await mkdtemp(path.join(tmpdir(), 'village-db-'));
      const started = await startDynamodb({ dir });
      if (!started.ok) throw new Error(started.message);
      const client = new DynamoDBClient({
        endpoint: started.dynamodb.endpoint,
        region: 'us-east-1',
        credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      });
      await ensureTables(client, TABLES);
      const names = TABLES.map(({ name }) => [name, name]);
      const tableNames = Object.fromEntries(names) as Record<TableName, string>;
      return {
        db: dynamoDatabase({ client, tableNames, clock: systemClock, random: seededRandom() }),
        close: async () => {
          client.destroy();
          await started.dynamodb.stop();
          await rm(dir, { recursive: true, force: true });
        },
      };
    },
  },
];

describe.each(engines)('Database port on $name', ({ open }) => {
  let db: Database;
  let close = async () => {};
  let partitions = 0;
  let pk = '';
  beforeAll(async () => {
    ({ db, close } = await open());
  });
  afterAll(() => close());
  beforeEach(() => {
    partitions += 1;
    pk = `P#${partitions}`;
  });
  const put = (sk: string, item: Record<string, unknown> = {}) =>
    db.write({ kind: 'put', table: 'sessions', item: { pk, sk, ...item } });

  test('puts, reads and misses', async () => {
    await put('a', { n: 1, deep: { list: [1, 'x', null, true] } });
    expect(await db.get('sessions', { pk, sk: 'a' })).toEqual({
      pk,
      sk: 'a',
      n: 1,
      deep: { list: [1, 'x', null, true] },
    });
    expect(await db.get('sessions', { pk, sk: 'b' })).toBeNull();
  });

  test('a refused condition shows what stands there', async () => {
    await put('a', { n: 1 });
    const refused = await db.write({
      kind: 'put',
      table: 'sessions',
      item: { pk, sk: 'a', n: 2 },
      conditions: [{ attr: 'pk', is: 'absent' }],
    });
    expect(refused).toEqual({ ok: false, item: { pk, sk: 'a', n: 1 } });
    expect(
      await db.write({
        kind: 'delete',
        table: 'sessions',
        key: { pk, sk: 'none' },
        conditions: [{ attr: 'pk', is: 'present' }],
      }),
    ).toEqual({ ok: false, item: null });
  });

  test('compares with null, absence and order', async () => {
    await put('a', { n: null, m: 5 });
    const update = (conditions: Parameters<typeof db.write>[0]['conditions']) =>
      db.write({
        kind: 'update',
        table: 'sessions',
        key: { pk, sk: 'a' },
        set: { seen: true },
        ...(conditions === undefined ? {} : { conditions }),
      });
    expect((await update([{ attr: 'n', op: '=', value: null }])).ok).toBe(true);
    expect((await update([{ attr: 'm', op: '<', value: 5 }])).ok).toBe(false);
    expect((await update([{ attr: 'm', op: '<=', value: 5 }])).ok).toBe(true);
    expect((await update([{ attr: 'missing', op: '<', value: 5 }])).ok).toBe(false);
    expect((await update([{ attr: 'missing', op: '<', value: 5, orAbsent: true }])).ok).toBe(true);
    expect((await update([{ attr: 'm', op: '=', value: '5' }])).ok).toBe(false);
  });

  test('updates set, add and remove, and make the item where there is none', async () => {
    await db.write({ kind: 'update', table: 'sessions', key: { pk, sk: 'a' }, set: { x: 1, gone: 1 }, add: { n: 2 } });
    const after = await db.write({
      kind: 'update',
      table: 'sessions',
      key: { pk, sk: 'a' },
      add: { n: -1 },
      remove: ['gone'],
    });
    expect(after).toEqual({ ok: true, item: { pk, sk: 'a', x: 1, n: 1 } });
  });

  test('an update sets what is missing, and leaves what stands', async () => {
    const update = (expiresAtSec: number): Update => ({
      kind: 'update',
      table: 'sessions',
      key: { pk, sk: 'a' },
      add: { n: 1 },
      setIfAbsent: { expiresAtSec },
    });
    expect((await db.write(update(7))).item).toEqual({ pk, sk: 'a', n: 1, expiresAtSec: 7 });
    expect((await db.write(update(9))).item).toEqual({ pk, sk: 'a', n: 2, expiresAtSec: 7 });
    expect(await db.transact([{ ...update(9), set: { m: 1 } }])).toEqual({ ok: true });
    expect(await db.get('sessions', { pk, sk: 'a' })).toEqual({ pk, sk: 'a', n: 3, m: 1, expiresAtSec: 7 });
  });

  test('a transaction is all or nothing and names what refused', async () => {
    await put('a', { n: 1 });
    const result = await db.transact([
      { kind: 'put', table: 'sessions', item: { pk, sk: 'b' } },
      {
        kind: 'update',
        table: 'sessions',
        key: { pk, sk: 'a' },
        set: { n: 9 },
        conditions: [{ attr: 'n', op: '=', value: 2 }],
      },
      { kind: 'check', table: 'sessions', key: { pk, sk: 'c' }, conditions: [{ attr: 'pk', is: 'present' }] },
    ]);
    expect(result).toEqual({
      ok: false,
      failed: [
        { index: 1, item: { pk, sk: 'a', n: 1 } },
        { index: 2, item: null },
      ],
    });
    expect(await db.get('sessions', { pk, sk: 'b' })).toBeNull();
    expect(
      await db.transact([
        { kind: 'put', table: 'sessions', item: { pk, sk: 'b' } },
        { kind: 'delete', table: 'sessions', key: { pk, sk: 'a' } },
      ]),
    ).toEqual({ ok: true });
    expect(await db.get('sessions', { pk, sk: 'a' })).toBeNull();
  });

  test('one item twice in a transaction is refused whole', async () => {
    const twice = { kind: 'put' as const, table: 'sessions' as const, item: { pk, sk: 'a' } };
    await expect(db.transact([twice, twice])).rejects.toThrow();
  });

  test('of parallel conditional writes exactly one wins', async () => {
    const writes = Array.from({ length: 20 }, (_, n) =>
      db.transact([
        { kind: 'put', table: 'sessions', item: { pk, sk: 'a', n }, conditions: [{ attr: 'pk', is: 'absent' }] },
      ]),
    );
    expect((await Promise.all(writes)).filter((result) => result.ok)).toHaveLength(1);
  });

  test('queries by prefix and range, in both directions, page by page', async () => {
    for (const sk of ['A#1', 'B#1', 'B#2', 'B#3', 'C#1']) await put(sk);
    const sks = async (query: Partial<Parameters<typeof queryAll>[1]>) =>
      (await queryAll(db, { table: 'sessions', partition: pk, ...query }, 100)).map((item) => item.sk);
    expect(await sks({ sort: { beginsWith: 'B#' } })).toEqual(['B#1', 'B#2', 'B#3']);
    expect(await sks({ sort: { from: 'B#2', to: 'C#1' } })).toEqual(['B#2', 'B#3', 'C#1']);
    expect(await sks({ descending: true })).toEqual(['C#1', 'B#3', 'B#2', 'B#1', 'A#1']);
    const first = await db.query({ table: 'sessions', partition: pk, limit: 2 });
    const second = await db.query({ table: 'sessions', partition: pk, limit: 9, cursor: first.cursor ?? '' });
    expect([...first.items, ...second.items].map((item) => item.sk)).toEqual(['A#1', 'B#1', 'B#2', 'B#3', 'C#1']);
    expect(second.cursor).toBeNull();
  });

  test('a sparse index lists only items that carry its key, in numeric order', async () => {
    const shard = `LIVE#${pk}`;
    await put('META', { liveShard: shard, nextCheckAtMs: 100 });
    await db.write({
      kind: 'put',
      table: 'sessions',
      item: { pk: `${pk}x`, sk: 'META', liveShard: shard, nextCheckAtMs: 20 },
    });
    await put('OTHER');
    const due = await db.query({
      table: 'sessions',
      index: { name: 'live', partition: 'liveShard', sort: 'nextCheckAtMs' },
      partition: shard,
      sort: { to: 100 },
      limit: 10,
    });
    expect(due.items.map((item) => item.pk)).toEqual([`${pk}x`, pk]);
    await db.write({
      kind: 'update',
      table: 'sessions',
      key: { pk, sk: 'META' },
      remove: ['liveShard', 'nextCheckAtMs'],
    });
    const left = await db.query({
      table: 'sessions',
      index: { name: 'live', partition: 'liveShard', sort: 'nextCheckAtMs' },
      partition: shard,
      limit: 10,
    });
    expect(left.items.map((item) => item.pk)).toEqual([`${pk}x`]);
  });
});
