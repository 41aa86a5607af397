/** Ports that refuse what a function's grants do not name, and remember which tables were touched. */
import type { Check, Database, TableName, Write } from '../../../functions/database.ts';
import { buildStore } from '../../../functions/releases/build-store.ts';
import { runnerStore } from '../../../functions/runners/runner-store.ts';
import { sessionStore } from '../../../functions/sessions/session-store.ts';
import { jwtSigner } from '../../../functions/signing.ts';
import { runnerLine } from '../../../functions/streams/runner-line.ts';
import { viewerFanOut } from '../../../functions/streams/viewer-fan-out.ts';
import { watcherStore } from '../../../functions/streams/watchers.ts';
import { tenantStore } from '../../../functions/tenants/tenant-store.ts';
import { FUNCTIONS, type FunctionName, type Grant, type TableAccess } from '../../../infra/topology.ts';
import type { TestPorts } from '../../fakes/control-plane-ports.ts';

export const grantsOf = (name: FunctionName): readonly Grant[] =>
  FUNCTIONS.find((spec) => spec.name === name)?.grants ?? [];

type Use = 'get' | 'query' | (Write | Check)['kind'];
/** What DynamoDB is asked for under each kind of access, written down apart from the constructs. */
const TABLE_USES: Record<TableAccess, readonly Use[]> = {
  read: ['get', 'query'],
  write: ['check', 'delete', 'put', 'update'],
  readwrite: ['get', 'query', 'check', 'delete', 'put', 'update'],
  revise: ['get', 'update'],
  add: ['put'],
};

/** The same world as `ports`, as function `name` may touch it; `used` collects `table access`. */
export const asFunction = (name: FunctionName, ports: TestPorts) => {
  const grants = grantsOf(name);
  const used = new Set<string>();
  const must = (what: string, holds: (grant: Grant) => boolean) => {
    if (!grants.some(holds)) throw new Error(`${name} has no grant for ${what}`);
  };
  const touch = (table: TableName, use: Use) => {
    const access = TABLE_USES.read.includes(use) ? 'read' : 'write';
    must(
      `${access} of ${table} (${use})`,
      (grant) => grant.kind === 'table' && grant.table === table && TABLE_USES[grant.access].includes(use),
    );
    used.add(`${table} ${access}`);
  };
  const db: Database = {
    get: async (table, key) => {
      touch(table, 'get');
      return ports.db.get(table, key);
    },
    query: async (query) => {
      touch(query.table, 'query');
      return ports.db.query(query);
    },
    write: async (write) => {
      touch(write.table, write.kind);
      return ports.db.write(write);
    },
    transact: async (writes) => {
      for (const { table, kind } of writes) touch(table, kind);
      return ports.db.transact(writes);
    },
  };
  const may =
    <A extends unknown[], R>(what: string, holds: (grant: Grant) => boolean, run: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      must(what, holds);
      return run(...args);
    };
  const connections = (api: 'runner' | 'viewer', access: 'post' | 'close') => (grant: Grant) =>
    grant.kind === 'connections' && grant.api === api && grant.access === access;
  const posts = (api: 'runner' | 'viewer') => connections(api, 'post');
  const bucket = (access: 'get' | 'put' | 'delete') => (grant: Grant) =>
    grant.kind === 'bucket' && grant.access.includes(access);
  const task = (access: string) => (grant: Grant) => grant.kind === 'tasks' && grant.access === access;
  const { clock, random, newId, publicUrl, runnerImage, warmPoolSize, objects, tasks } = ports;
  const signingKey = may(
    'the signing key',
    (grant) => grant.kind === 'secret' && grant.secret === 'signing-key',
    ports.signingKey,
  );
  const runnerSender = { post: may('posts to runners', posts('runner'), ports.runnerSender.post) };
  const viewers = { post: may('posts to viewers', posts('viewer'), ports.viewers.post) };
  const sessions = sessionStore(db, clock);
  const watchers = watcherStore({ db, sessions, clock });
  const runners = runnerLine({ db, sender: runnerSender, clock });
  const guarded = {
    clock,
    random,
    newId,
    publicUrl,
    runnerImage,
    warmPoolSize,
    runnerCloser: { close: may('closing of runners', connections('runner', 'close'), ports.runnerCloser.close) },
    db,
    sessions,
    watchers,
    runners,
    runnerSender,
    fanOut: viewerFanOut({ watchers, viewers, runners, clock, epochOf: sessions.epochOf }),
    tenants: tenantStore(db, clock),
    builds: buildStore(db),
    runnerStore: runnerStore(db, clock),
    signer: jwtSigner({ key: signingKey, clock }),
    signingKey,
    objects: {
      putJson: may('put of objects', bucket('put'), objects.putJson),
      presignPut: may('put of objects', bucket('put'), objects.presignPut),
      putOnce: may('put of objects', bucket('put'), objects.putOnce),
      getBytes: may('get of objects', bucket('get'), objects.getBytes),
      getJson: may('get of objects', bucket('get'), objects.getJson),
      presignGet: may('get of objects', bucket('get'), objects.presignGet),
      delete: may('delete of objects', bucket('delete'), objects.delete),
    },
    tasks: {
      launch: may('run of tasks', task('run'), tasks.launch),
      status: may('describe of tasks', task('describe'), tasks.status),
      stop: may('stop of tasks', task('stop'), tasks.stop),
      listRunning: may('list of tasks', (grant) => task('list')(grant) || task('describe')(grant), tasks.listRunning),
    },
  };
  return { guarded, used };
};
