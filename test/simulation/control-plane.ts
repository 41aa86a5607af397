/** The control plane of a simulation: the real use-cases in containers that die, time out, run twice and forget what they remember. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { retryTransient } from '../../functions/aws/retry.ts';
import type { Check, Database, Write } from '../../functions/database.ts';
import { buildStore } from '../../functions/releases/build-store.ts';
import { runnerStore } from '../../functions/runners/runner-store.ts';
import type {
  ConnectionCloser,
  ConnectionSender,
  ObjectStore,
  TaskLauncher,
  TaskLister,
} from '../../functions/sessions/ports.ts';
import { sessionStore } from '../../functions/sessions/session-store.ts';
import type { Signer } from '../../functions/signing.ts';
import { runnerLine } from '../../functions/streams/runner-line.ts';
import { viewerFanOut } from '../../functions/streams/viewer-fan-out.ts';
import { watcherStore } from '../../functions/streams/watchers.ts';
import { tenantStore } from '../../functions/tenants/tenant-store.ts';
import { AppError } from '../../shared/errors.ts';
import type { ControlToRunnerFrame, ControlToViewerFrame } from '../../shared/frames.ts';
import type { Chance } from './chance.ts';
import type { Faults } from './faults.ts';
import type { Plant } from './plant.ts';
import { clockOf, type Scheduler } from './scheduler.ts';
import { type Store, storeCalls } from './store.ts';

/** Runs one call of a container to the world outside: it arrives, happens, is answered; the container may die on the way. */
export type Reach = <T>(apply: () => T | Promise<T>) => Promise<T>;

export interface Outside {
  readonly runnerSender: (reach: Reach) => ConnectionSender<ControlToRunnerFrame>;
  readonly runnerCloser: (reach: Reach) => ConnectionCloser;
  readonly viewerSender: (reach: Reach) => ConnectionSender<ControlToViewerFrame>;
  readonly tasks: (reach: Reach) => TaskLauncher & TaskLister;
  readonly objects: (reach: Reach) => ObjectStore;
}

export type Outcome<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown }
  /** Nobody knows how far it came. */
  | { readonly kind: 'died' };

const SIGNING_KEY = new TextEncoder().encode('k'.repeat(64));
const LAMBDA_TIMEOUT_MS = 29_000;
/** Clocks of the control plane are kept by the platform: they differ a little. */
const SERVER_SKEW_MAX_MS = 400;
/** One of its own for each: a shared one would keep whatever waits for it. */
const never = (): Promise<never> => new Promise(() => {});

type AnyClaims = Parameters<Signer['sign']>[0];

/** Signed like the real tokens, without the thread pool that would make a run depend on the machine. */
const simSigner = (nowMs: () => number): Signer => {
  const mac = (text: string) => createHmac('sha256', SIGNING_KEY).update(text).digest();
  const known = new Map<string, AnyClaims>();
  const checked = (token: string): AnyClaims | null => {
    const [body = '', signature = ''] = token.split('.');
    if (!timingSafeEqual(mac(body), Buffer.from(signature, 'base64url'))) return null;
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'));
    known.set(token, claims);
    return claims;
  };
  const isKind = <K extends AnyClaims['kind']>(claims: AnyClaims, kind: K): claims is Extract<AnyClaims, { kind: K }> =>
    claims.kind === kind;
  return {
    sign: async (claims) => {
      const body = Buffer.from(JSON.stringify(claims)).toString('base64url');
      return `${body}.${mac(body).toString('base64url')}`;
    },
    verify: async (kind, token) => {
      const claims = known.get(token) ?? checked(token);
      if (claims === null || !isKind(claims, kind) || claims.expSec * 1_000 <= nowMs())
        throw new AppError('invalid_credential', 'The credential is not valid or has expired: sign in again.');
      return claims;
    },
  };
};

export interface ControlPlaneOptions {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly store: Store;
  readonly outside: Outside;
  readonly plant: Plant;
  /** Idle tasks that the village is configured to keep, as of now. */
  readonly warmPoolSize: () => number;
  /** A runner is about to be claimed: somebody else may want it, too. */
  readonly onClaim: (writes: readonly (Write | Check)[]) => void;
}

class Container {
  readonly ports: ReturnType<typeof composed>;
  #isAlive = true;
  onDeath: () => void = () => {};

  constructor(options: ControlPlaneOptions, newId: () => string) {
    this.ports = composed(options, this, newId);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  die(): void {
    this.#isAlive = false;
    this.onDeath();
  }
}

const travelMs = (chance: Chance): number => {
  const draw = chance.next();
  if (draw < 0.85) return chance.between(0.5, 8);
  return draw < 0.985 ? chance.between(8, 80) : chance.between(80, 600);
};
const LONG_DELAY_MS = { from: 1_000, to: 12_000 };

const composed = (options: ControlPlaneOptions, container: Container, newId: () => string) => {
  const { scheduler, chance, faults, store, outside, plant } = options;
  const skewMs = chance.between(-SERVER_SKEW_MAX_MS, SERVER_SKEW_MAX_MS);
  const clock = clockOf(scheduler, container, () => skewMs);
  const travel = (): Promise<void> => {
    const isLate = faults.strikes('delay');
    const ms = isLate ? chance.between(LONG_DELAY_MS.from, LONG_DELAY_MS.to) : travelMs(chance);
    return scheduler.pause(ms, container);
  };
  const dies = (): boolean => {
    if (!container.isAlive) return true;
    if (!faults.strikes('control_crash')) return false;
    container.die();
    return true;
  };
  const reach: Reach = async (apply) => {
    await travel();
    if (dies()) return never();
    const result = await apply();
    if (dies()) return never();
    await travel();
    return result;
  };
  const calls = storeCalls(store, faults, { travel, dies, onClaim: options.onClaim });
  const retry = <T>(run: () => Promise<T>) => retryTransient(run, { clock, random: chance });
  const retried: Database = {
    get: (table, key) => retry(() => calls.get(table, key)),
    query: (query) => retry(() => calls.query(query)),
    write: (write) => retry(() => calls.write(write)),
    transact: (writes) => retry(() => calls.transact(writes)),
  };
  const db = plant.database?.(retried) ?? retried;
  const runnerSender = outside.runnerSender(reach);
  const viewers = outside.viewerSender(reach);
  const sessions = sessionStore(db, clock);
  const watchers = watcherStore({ db, sessions, clock });
  const runners = runnerLine({ db, sender: runnerSender, clock });
  return {
    ...{ clock, random: chance, newId, db, sessions, watchers, runners, runnerSender, viewers },
    fanOut: viewerFanOut({ watchers, viewers, runners, clock, epochOf: sessions.epochOf }),
    tenants: tenantStore(db, clock),
    builds: buildStore(db),
    runnerStore: runnerStore(db, clock),
    signer: simSigner(clock.nowMs),
    signingKey: async () => SIGNING_KEY,
    objects: outside.objects(reach),
    tasks: outside.tasks(reach),
    publicUrl: 'https://village.test',
    runnerImage: 'runner:test',
    runnerCloser: outside.runnerCloser(reach),
    get warmPoolSize() {
      return options.warmPoolSize();
    },
  };
};
export type SimPorts = ReturnType<typeof composed>;

/** Ids in the shape of a ULID, in order. */
const idMaker = (): (() => string) => {
  let made = 0;
  return () => String(++made).padStart(26, '0');
};

/** Warm containers beyond this are let go. */
const CONTAINERS_KEPT = 4;

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #newId = idMaker();
  #idle: Container[] = [];
  /** Failures that were neither weather nor an answer for people: bugs. */
  readonly unexpected: unknown[] = [];

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
  }

  /** One invocation on a container of its own; resolves also when the container dies. */
  invoke<T>(work: (ports: SimPorts) => Promise<T>): Promise<Outcome<T>> {
    const { scheduler, chance } = this.#options;
    const at = this.#idle.length === 0 ? -1 : chance.int(0, this.#idle.length - 1);
    const container = this.#idle[at] ?? new Container(this.#options, this.#newId);
    this.#idle = this.#idle.filter((other) => other !== container);
    const { promise, resolve } = Promise.withResolvers<Outcome<T>>();
    const cancel = scheduler.after(LAMBDA_TIMEOUT_MS, () => container.die());
    container.onDeath = () => {
      cancel();
      resolve({ kind: 'died' });
    };
    const end = (outcome: Outcome<T>): void => {
      cancel();
      container.onDeath = () => {};
      if (container.isAlive && this.#idle.length < CONTAINERS_KEPT) this.#idle.push(container);
      resolve(outcome);
    };
    work(container.ports).then(
      (value) => end({ kind: 'done', value }),
      (error: unknown) => {
        if (!(error instanceof AppError)) this.unexpected.push(error);
        end({ kind: 'failed', error });
      },
    );
    return promise;
  }
}
