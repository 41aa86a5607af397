/**
 * The port to the tables: plain items, structured conditions, one transaction. Domains write their stores on it; functions/aws
 * fulfils it with DynamoDB, tests with memory. Conflict, throttle and time-out are retried behind it and never look like a refusal.
 */
export type TableName = 'tenants' | 'sessions' | 'events' | 'connections' | 'usage' | 'releases' | 'runners';
export type Item = Readonly<Record<string, unknown>>;
export interface Key {
  readonly pk: string;
  readonly sk: string;
}

export type Condition =
  | { readonly attr: string; readonly is: 'absent' | 'present' }
  | {
      readonly attr: string;
      readonly op: '=' | '<>' | '<' | '<=' | '>' | '>=';
      readonly value: string | number | boolean | null;
      /** Holds also where the attribute is missing. */
      readonly orAbsent?: boolean;
    };

export interface Put {
  readonly kind: 'put';
  readonly table: TableName;
  readonly item: Item & Key;
  readonly conditions?: readonly Condition[];
}
export interface Update {
  readonly kind: 'update';
  readonly table: TableName;
  readonly key: Key;
  readonly set?: Item;
  /** Only where the attribute is missing, as it is of an item that this update makes. */
  readonly setIfAbsent?: Item;
  readonly add?: Readonly<Record<string, number>>;
  readonly remove?: readonly string[];
  readonly conditions?: readonly Condition[];
}
export interface Delete {
  readonly kind: 'delete';
  readonly table: TableName;
  readonly key: Key;
  readonly conditions?: readonly Condition[];
}
export interface Check {
  readonly kind: 'check';
  readonly table: TableName;
  readonly key: Key;
  readonly conditions: readonly Condition[];
}
export type Write = Put | Update | Delete;

export type WriteResult =
  /** `item`: the new image of an update, the old one of a delete. */
  | { readonly ok: true; readonly item: Item | null }
  /** `item`: what stood there instead. */
  | { readonly ok: false; readonly item: Item | null };

export type TransactResult =
  | { readonly ok: true }
  /** Indexes of the writes whose condition failed, with what stood there. */
  | { readonly ok: false; readonly failed: readonly { readonly index: number; readonly item: Item | null }[] };

export interface Query {
  readonly table: TableName;
  readonly index?: { readonly name: string; readonly partition: string; readonly sort: string };
  readonly partition: string;
  /** On the sort key (of the index where one is named). */
  readonly sort?: { readonly beginsWith: string } | { readonly from?: string | number; readonly to?: string | number };
  readonly limit: number;
  readonly cursor?: string;
  readonly descending?: boolean;
  readonly consistent?: boolean;
}
export interface Page {
  readonly items: readonly Item[];
  readonly cursor: string | null;
}

export interface Database {
  /** Strongly consistent. */
  get(table: TableName, key: Key): Promise<Item | null>;
  query(query: Query): Promise<Page>;
  write(write: Write): Promise<WriteResult>;
  /** All or nothing; at most 100 writes, each item at most once. */
  transact(writes: readonly (Write | Check)[]): Promise<TransactResult>;
}

/** Reads every page of a query up to `max` items; more is a broken invariant and throws. */
export const queryAll = async (db: Database, query: Omit<Query, 'cursor' | 'limit'>, max: number): Promise<Item[]> => {
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = await db.query({
      ...query,
      limit: Math.min(max + 1, 500),
      ...(cursor === undefined ? {} : { cursor }),
    });
    items.push(...page.items);
    if (items.length > max) throw new Error(`more than ${max} items under ${query.partition}`);
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
  return items;
};
