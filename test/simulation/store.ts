/** The tables of a simulated region: what is committed, what an index shows of it a little later, and who hears of a commit. */
import type {
  Check,
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
import { MemoryDatabase } from '../fakes/memory-database.ts';
import type { Chance } from './chance.ts';
import type { Faults } from './faults.ts';
import type { Scheduler } from './scheduler.ts';

export type OnCommit = (table: TableName, key: Key, image: Item | null) => void;

const keyOf = (write: Write | Check): Key =>
  write.kind === 'put' ? { pk: write.item.pk, sk: write.item.sk } : write.key;

/** Of a place on a customer-hosted runner, or of an idle one. */
const isClaim = (writes: readonly (Write | Check)[]): boolean =>
  writes.some(
    (write) =>
      write.table === 'runners' &&
      ((write.kind === 'update' && write.add?.live === 1) ||
        (write.kind === 'update' && write.set?.state === 'claimed')),
  );

/** Longer than the retries of one call, shorter than a lease. */
const STORM_MS = { from: 2_000, to: 60_000 };
const INDEX_LAG_MS = { usual: 50, late: 150_000 };

export class Store {
  readonly #truth = new MemoryDatabase();
  /** Indexes are eventually consistent: they are read from this copy. */
  readonly #index = new MemoryDatabase();
  readonly #scheduler: Scheduler;
  readonly #chance: Chance;
  readonly #faults: Faults;
  readonly #onCommit: OnCommit;
  readonly #onCommitted: () => void;
  #versions = new Map<string, number>();
  #commits = 0;
  #throttledUntilMs = 0;

  constructor(options: {
    scheduler: Scheduler;
    chance: Chance;
    faults: Faults;
    onCommit: OnCommit;
    /** After the last row of a transaction. */
    onCommitted: () => void;
  }) {
    this.#scheduler = options.scheduler;
    this.#chance = options.chance;
    this.#faults = options.faults;
    this.#onCommit = options.onCommit;
    this.#onCommitted = options.onCommitted;
  }

  /** One call, or now and then every call for a while: a storm is one fault, however many calls it meets. */
  isThrottled(): boolean {
    const { nowMs } = this.#scheduler;
    const faults = this.#faults;
    if (!faults.isOn) return false;
    if (nowMs < this.#throttledUntilMs) return true;
    if (faults.strikes('throttle')) return true;
    if (!faults.strikes('throttle_storm')) return false;
    this.#throttledUntilMs = nowMs + this.#chance.between(STORM_MS.from, STORM_MS.to);
    return true;
  }

  all(table: TableName): Item[] {
    return this.#truth.all(table);
  }

  get(table: TableName, key: Key): Promise<Item | null> {
    return this.#truth.get(table, key);
  }

  async query(query: Query): Promise<Page> {
    if (query.index === undefined) return this.#truth.query(query);
    const [seen, true_] = [await this.#index.query(query), await this.#truth.query(query)];
    const names = (page: Page) => page.items.map(({ pk, sk }) => `${pk} ${sk}`).join();
    if (names(seen) !== names(true_)) this.#faults.met('stale_index');
    return seen;
  }

  async write(write: Write): Promise<WriteResult> {
    const result = await this.#truth.write(write);
    if (result.ok) await this.#committed([write]);
    return result;
  }

  async transact(writes: readonly (Write | Check)[]): Promise<TransactResult> {
    const result = await this.#truth.transact(writes);
    if (!result.ok && isClaim(writes) && this.#faults.isOn) this.#faults.met('claim_race');
    if (result.ok) await this.#committed(writes.filter((write) => write.kind !== 'check'));
    return result;
  }

  async #committed(writes: readonly Write[]): Promise<void> {
    for (const write of writes) {
      const key = keyOf(write);
      const image = await this.#truth.get(write.table, key);
      if (write.table === 'sessions' && key.sk === 'META') this.#replicate(key, image);
      this.#onCommit(write.table, key, image);
    }
    this.#onCommitted();
  }

  #replicate(key: Key, image: Item | null): void {
    this.#commits += 1;
    const version = this.#commits;
    const lagMs = this.#faults.draws('stale_index')
      ? this.#chance.between(0, INDEX_LAG_MS.late)
      : this.#chance.between(0, INDEX_LAG_MS.usual);
    this.#scheduler.after(lagMs, () => {
      if ((this.#versions.get(key.pk) ?? 0) > version) return;
      this.#versions.set(key.pk, version);
      if (image === null) void this.#index.write({ kind: 'delete', table: 'sessions', key });
      else void this.#index.write({ kind: 'put', table: 'sessions', item: { ...image, ...key } });
    });
  }
}

const RIVAL_READS = 8;

/** Errors as the SDK names them: the real retry looks at the name. */
const weather = (name: string): Error => Object.assign(new Error(name), { name });

/** How one call of a container meets the store: what delays, fails or kills on the way. */
export interface CallPorts {
  /** Until the call arrives, or its answer does. */
  readonly travel: () => Promise<void>;
  /** Ends the container; what awaits in it never goes on. */
  readonly dies: () => boolean;
  readonly onClaim: (writes: readonly (Write | Check)[]) => void;
}

/** The store as one container reaches it, below the real retry. */
export const storeCalls = (store: Store, faults: Faults, { travel, dies, onClaim }: CallPorts): Database => {
  const never = <T>(): Promise<T> => new Promise<T>(() => {});
  const call = async <T>(apply: () => Promise<T>, writes: 'none' | 'one' | 'many'): Promise<T> => {
    await travel();
    if (store.isThrottled()) throw weather('ThrottlingException');
    if (writes === 'many' && faults.strikes('conflict')) throw weather('TransactionConflictException');
    if (dies()) return never();
    const result = await apply();
    if (dies()) return never();
    await travel();
    if (writes !== 'none' && faults.strikes('lost_answer')) throw weather('TimeoutError');
    return result;
  };
  return {
    get: (table, key) => call(() => store.get(table, key), 'none'),
    query: (query) => call(() => store.query(query), 'none'),
    write: (write) => call(() => store.write(write), 'one'),
    transact: async (writes) => {
      if (isClaim(writes) && faults.draws('claim_race')) {
        onClaim(writes);
        // As long as the others need to read what this one has read.
        for (let read = 0; read < RIVAL_READS; read += 1) await travel();
      }
      return call(() => store.transact(writes), 'many');
    },
  };
};
