/** The Database port in memory, with the semantics that the contract test holds against the real engine. */
import type {
  Check,
  Condition,
  Database,
  Item,
  Key,
  Page,
  Query,
  TableName,
  TransactResult,
  Write,
  WriteResult,
} from '../../functions/database.ts';

const compare = (left: unknown, right: unknown): number =>
  typeof left === 'number' && typeof right === 'number'
    ? left - right
    : Buffer.compare(Buffer.from(String(left)), Buffer.from(String(right)));

const holds = (item: Item | undefined, condition: Condition): boolean => {
  const value = item?.[condition.attr];
  if ('is' in condition) return (value === undefined) === (condition.is === 'absent');
  if (value === undefined) return condition.orAbsent === true;
  const sameType = typeof value === typeof condition.value;
  const order = sameType ? compare(value, condition.value) : Number.NaN;
  return { '=': order === 0, '<>': order !== 0, '<': order < 0, '<=': order <= 0, '>': order > 0, '>=': order >= 0 }[
    condition.op
  ];
};

/** Items hold what JSON holds: copied by hand, since the simulation does little else. */
const copied = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copied) as T;
  const copy: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) if (field !== undefined) copy[name] = copied(field);
  return copy as T;
};

export class MemoryDatabase implements Database {
  readonly #tables = new Map<TableName, Map<string, Item>>();

  #table(name: TableName): Map<string, Item> {
    const table = this.#tables.get(name) ?? new Map<string, Item>();
    this.#tables.set(name, table);
    return table;
  }

  #key = ({ pk, sk }: Key) => `${pk}\u0000${sk}`;

  #current(write: Write | Check): Item | undefined {
    return this.#table(write.table).get(this.#key(write.kind === 'put' ? write.item : write.key));
  }

  #apply(write: Write): Item | null {
    const table = this.#table(write.table);
    if (write.kind === 'put') {
      table.set(this.#key(write.item), copied(write.item));
      return null;
    }
    const before = table.get(this.#key(write.key));
    if (write.kind === 'delete') {
      table.delete(this.#key(write.key));
      return before ?? null;
    }
    const after: Record<string, unknown> = {
      ...copied(write.setIfAbsent ?? {}),
      ...(before ?? write.key),
      ...copied(write.set ?? {}),
    };
    for (const [attr, value] of Object.entries(write.add ?? {})) after[attr] = Number(after[attr] ?? 0) + value;
    for (const attr of write.remove ?? []) delete after[attr];
    table.set(this.#key(write.key), after);
    return copied(after);
  }

  /** Every item of a table, for assertions. */
  all(table: TableName): Item[] {
    return [...this.#table(table).values()];
  }

  async get(table: TableName, key: Key): Promise<Item | null> {
    return copied(this.#table(table).get(this.#key(key)) ?? null);
  }

  async write(write: Write): Promise<WriteResult> {
    const current = this.#current(write);
    if (!(write.conditions ?? []).every((condition) => holds(current, condition)))
      return { ok: false, item: copied(current ?? null) };
    return { ok: true, item: this.#apply(write) };
  }

  async transact(writes: readonly (Write | Check)[]): Promise<TransactResult> {
    const keys = writes.map(
      (write) => `${write.table}\u0000${this.#key(write.kind === 'put' ? write.item : write.key)}`,
    );
    if (writes.length > 100 || new Set(keys).size !== keys.length)
      throw new Error('ValidationException: too many or repeated items');
    const failed = writes.flatMap((write, index) => {
      const current = this.#current(write);
      return (write.conditions ?? []).every((condition) => holds(current, condition))
        ? []
        : [{ index, item: copied(current ?? null) }];
    });
    if (failed.length > 0) return { ok: false, failed };
    for (const write of writes) if (write.kind !== 'check') this.#apply(write);
    return { ok: true };
  }

  async query(query: Query): Promise<Page> {
    const partition = query.index?.partition ?? 'pk';
    const sort = query.index?.sort ?? 'sk';
    const matches = (item: Item): boolean => {
      const value = item[sort];
      if (item[partition] !== query.partition || value === undefined) return false;
      if (query.sort === undefined) return true;
      if ('beginsWith' in query.sort) return String(value).startsWith(query.sort.beginsWith);
      const { from, to } = query.sort;
      return (from === undefined || compare(value, from) >= 0) && (to === undefined || compare(value, to) <= 0);
    };
    const rows = [...this.#table(query.table).values()].filter(matches).sort((a, b) => compare(a[sort], b[sort]));
    if (query.descending === true) rows.reverse();
    const start = query.cursor === undefined ? 0 : Number(query.cursor);
    const items = copied(rows.slice(start, start + query.limit));
    return { items, cursor: start + items.length < rows.length ? String(start + items.length) : null };
  }
}
