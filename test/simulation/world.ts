/** One simulated region with its machines and people: everything real that this project wrote, and nothing real around it. */
import type { Check, Item, TableName, Write } from '../../functions/database.ts';
import { fillWarmPool } from '../../functions/runners/fill-warm-pool.ts';
import { dispatchQueue } from '../../functions/runners/place-on-group.ts';
import { runnersChanged } from '../../functions/runners/runner-changes.ts';
import { continueSuspended } from '../../functions/sessions/continue-suspended.ts';
import { placeEpoch } from '../../functions/sessions/place-epoch.ts';
import { reap } from '../../functions/sessions/reap.ts';
import { reconcile } from '../../functions/sessions/reconcile.ts';
import { type SessionRef, StreamHead } from '../../functions/sessions/session-store.ts';
import { taskStateChanged } from '../../functions/sessions/task-stopped.ts';
import { fanOutEvents } from '../../functions/streams/fan-out-events.ts';
import { ATTACH_DEADLINE_MS } from '../../shared/limits.ts';
import { isFinal } from '../../shared/session.ts';
import { checkHeadHistory } from '../invariants/states.ts';
import { type StoredVillage, storedVillage } from '../invariants/stored.ts';
import type { Violation } from '../invariants/violation.ts';
import { Since } from './calm-checks.ts';
import { Chance } from './chance.ts';
import { ControlPlane } from './control-plane.ts';
import { Ecs } from './ecs.ts';
import { FAULT_RATES, Faults, POOL_FAULT_RATES } from './faults.ts';
import { Gateway } from './gateway.ts';
import { SimObjects } from './objects.ts';
import { GROUP, OwnMachines } from './own-machines.ts';
import { People, TENANT } from './people.ts';
import { PlaceWatch } from './place-watch.ts';
import type { Plant } from './plant.ts';
import { drawPools, type Pools } from './pools.ts';
import { RunnerChanges } from './runner-changes.ts';
import { Scheduler } from './scheduler.ts';
import { type HostWorld, SimHost } from './sim-host.ts';
import { Store } from './store.ts';
import { Truth } from './truth.ts';

const SCHEDULE_MS = 60_000;
const DRAIN_EVERY_MS = { from: 60_000, to: 400_000 };
const STREAM_TRIES_MAX = 5;
/** Of starts: those that come in pairs. */
const TWO_SHARE = 0.4;
/** Whoever watches one that waits in a queue looks again so often. */
const ATTACH_QUEUED_MS = 60_000;
type Consumer = 'fan-out-events' | 'continue-sessions';

interface Shard {
  images: Item[];
  isBusy: boolean;
}

const HeadMoment = StreamHead.pick({ state: true, epoch: true, open: true, seq: true, ackedRseq: true });
type HeadMoment = Pick<StreamHead, 'state' | 'epoch' | 'open' | 'seq' | 'ackedRseq'>;

const parseRef = (pk: string): SessionRef => {
  const [, tenantId = '', , sessionId = ''] = pk.split('#');
  return { tenantId, sessionId };
};

export class World {
  readonly chance: Chance;
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly store: Store;
  readonly control: ControlPlane;
  readonly people: People;
  readonly ecs: Ecs;
  readonly truth: Truth;
  readonly watch: PlaceWatch;
  readonly calm = new Since();
  /** `null` where every session has a task of its own. */
  readonly pools: Pools | null;
  readonly machines: OwnMachines;
  readonly #changes: RunnerChanges;
  readonly #hosts: SimHost[] = [];
  readonly #heads = new Map<string, HeadMoment[]>();
  readonly #streams = new Map<string, Shard>();

  constructor(seed: number, plant: Plant) {
    const chance = new Chance(seed);
    const scheduler = new Scheduler(chance);
    this.pools = drawPools(seed, chance);
    const faults = new Faults(chance, this.pools === null ? FAULT_RATES : POOL_FAULT_RATES);
    const base = { scheduler, chance, faults };
    this.chance = chance;
    this.scheduler = scheduler;
    this.faults = faults;
    this.truth = new Truth(scheduler);
    this.watch = new PlaceWatch(scheduler);
    this.store = new Store({
      ...base,
      onCommit: (table, key, image) => this.#onCommit(table, key, image),
      onCommitted: () => this.watch.look(),
    });
    const objects = new SimObjects(scheduler, chance, faults);
    const control = () => this.control;
    const gateway = new Gateway({ ...base, control, plant });
    const hostWorld: HostWorld = { ...base, gateway, objects, control, plant, truth: this.truth };
    this.ecs = new Ecs({
      ...base,
      startHost: (task) => {
        const host: SimHost = new SimHost(hostWorld, {
          ...{ token: task.environment.CONTROL_PLANE_TOKEN ?? '', capacity: 1 },
          onLost: () => this.ecs.lose(task),
          onExit: (code) => this.ecs.exited(task, code),
        });
        host.start();
        this.#hosts.push(host);
        return host;
      },
      onEvent: (event) => void this.#deliver(() => this.control.invoke((ports) => taskStateChanged(ports, event))),
    });
    this.control = new ControlPlane({
      ...{ ...base, store: this.store, plant },
      outside: {
        runnerSender: (reach) => gateway.sender(reach),
        runnerCloser: (reach) => gateway.closer(reach),
        viewerSender: (reach) => ({
          post: (connectionId) => reach(() => (this.people.isConnected(connectionId) ? 'sent' : 'gone')),
        }),
        tasks: (reach) => this.ecs.launcher(reach),
        objects: (reach) => objects.store(reach),
      },
      warmPoolSize: () => this.pools?.warmSize ?? 0,
      onClaim: (writes) => this.#rivals(writes),
    });
    this.people = new People({
      ...base,
      control: this.control,
      pool: () => this.pools?.choose(chance) ?? 'hosted',
      mayBeTwo: () => this.pools !== null && chance.is(TWO_SHARE),
      attachAgainMs: this.pools === null ? ATTACH_DEADLINE_MS : ATTACH_QUEUED_MS,
    });
    this.machines = new OwnMachines({
      ...base,
      control: this.control,
      world: hostWorld,
      onHost: (host) => this.#hosts.push(host),
    });
    this.#changes = new RunnerChanges({
      ...base,
      deliver: (keys) => this.control.invoke((ports) => runnersChanged({ ...ports, onError: () => {} }, keys)),
    });
    this.#schedule();
    this.#drainLater();
  }

  get hosts(): readonly SimHost[] {
    return this.#hosts.filter(({ isAlive }) => isAlive);
  }

  get stored(): StoredVillage {
    const all = (table: TableName) => this.store.all(table);
    return storedVillage({
      ...{ sessions: all('sessions'), events: all('events'), usage: all('usage'), tenants: all('tenants') },
      runners: all('runners'),
    });
  }

  /** What runners hold and who waits for them, without the sessions themselves. */
  get places(): Pick<StoredVillage, 'runners' | 'queued'> {
    const sessions = this.store.all('sessions').filter(({ pk }) => String(pk).endsWith('#QUEUE'));
    return storedVillage({ sessions, events: [], usage: [], tenants: [], runners: this.store.all('runners') });
  }

  /** Sessions that are not over, as they stand now. */
  get live(): readonly SessionRef[] {
    return [...this.#heads]
      .filter(([, heads]) => !isFinal(heads.at(-1)?.state ?? 'created'))
      .map(([pk]) => parseRef(pk));
  }

  get hasLiveTasks(): boolean {
    return this.ecs.running.length > 0;
  }

  /** What was seen while it ran. */
  get seen(): readonly Violation[] {
    const ofHeads = [...this.#heads].flatMap(([pk, heads]) => checkHeadHistory({ ref: parseRef(pk) }, heads));
    return [...this.truth.violations, ...this.watch.violations, ...ofHeads];
  }

  #schedule(): void {
    this.scheduler.after(SCHEDULE_MS, () => {
      const onError = () => {};
      void this.#deliver(() => this.control.invoke((ports) => reap({ ...ports, onError })));
      void this.#deliver(() => this.control.invoke((ports) => reconcile({ ...ports, onError })));
      if (this.pools !== null)
        void this.#deliver(() => this.control.invoke((ports) => fillWarmPool({ ...ports, onError })));
      this.#schedule();
    });
  }

  /** Two want the same runner, and two places are found for one session. */
  #rivals(writes: readonly (Write | Check)[]): void {
    const head = writes.find((write) => write.kind === 'update' && write.key.sk === 'HEAD');
    if (head?.kind !== 'update') return;
    const ref = parseRef(head.key.pk);
    void this.control.invoke(async (ports) => {
      const meta = await ports.sessions.meta(ref);
      if (meta !== null) await placeEpoch(ports, ref, meta);
    });
    void this.control.invoke((ports) => dispatchQueue(ports, TENANT, GROUP));
  }

  #drainLater(): void {
    this.scheduler.after(this.chance.between(DRAIN_EVERY_MS.from, DRAIN_EVERY_MS.to), () => {
      if (!this.faults.isOn) return;
      this.ecs.drainOne();
      this.#drainLater();
    });
  }

  /** At least once: what failed is tried again, and what succeeded may come a second time. */
  async #deliver(run: () => Promise<{ kind: 'done' | 'failed' | 'died' }>): Promise<void> {
    const again = this.faults.strikes('lambda_duplicate') ? run() : null;
    for (let tries = 0; tries < 3; tries += 1) {
      if ((await run()).kind === 'done') break;
      await this.scheduler.pause(this.chance.between(1_000, 60_000));
    }
    await again;
  }

  #onCommit(table: TableName, { pk, sk }: { pk: string; sk: string }, image: Item | null): void {
    if (table === 'sessions' && sk === 'HEAD' && image !== null) this.#remember(pk, image);
    if (table === 'sessions' && sk.startsWith('EPOCH#') && image?.closedAtMs !== undefined)
      this.#checkClosed(parseRef(pk), Number(image.epoch));
    if (table === 'events' && sk.startsWith('SEG#') && image !== null) this.#stream(pk, image, 'fan-out-events');
    if (table === 'sessions' && sk === 'META' && image?.isSuspended === true)
      this.#stream(pk, image, 'continue-sessions');
    if (table === 'runners' && image === null) this.#changes.removed({ pk, sk });
    this.watch.committed(table, { pk, sk }, image);
  }

  #remember(pk: string, image: Item): void {
    const { state, epoch, open, seq, ackedRseq } = HeadMoment.parse(image);
    const heads = this.#heads.get(pk) ?? [];
    this.#heads.set(pk, heads);
    heads.push({ state, epoch, open, seq, ackedRseq });
  }

  /** Nothing of an epoch works on when it is closed: another may begin. */
  #checkClosed({ sessionId }: SessionRef, epoch: number): void {
    for (const host of this.hosts) {
      const place = host.ground.known({ sessionId, epoch });
      // One that was revoked hears of it a little later than its sessions go on.
      if (place?.isWorking === true && !this.machines.isRevoked(host)) this.truth.workedAfterClosing(place);
    }
  }

  #stream(pk: string, image: Item, consumer: Consumer): void {
    const name = `${consumer} ${pk}`;
    const shard = this.#streams.get(name) ?? { images: [], isBusy: false };
    this.#streams.set(name, shard);
    shard.images.push(image);
    if (!shard.isBusy) void this.#readShard(shard, consumer);
  }

  /** In order, at least once; what fails again and again goes to the dead letters. */
  async #readShard(shard: Shard, consumer: Consumer): Promise<void> {
    shard.isBusy = true;
    let tries = 0;
    while (shard.images.length > 0) {
      await this.scheduler.pause(this.chance.between(50, 800));
      const images = shard.images.slice(0, this.chance.int(1, 5));
      const outcome = await this.control.invoke<unknown>((ports) =>
        consumer === 'fan-out-events'
          ? fanOutEvents({ ...ports, onError: () => {} }, images)
          : continueSuspended({ ...ports, onError: () => {} }, images),
      );
      tries += 1;
      const isDone = outcome.kind === 'done' && !this.faults.strikes('lambda_duplicate');
      if (!isDone && tries < STREAM_TRIES_MAX) continue;
      shard.images.splice(0, images.length);
      tries = 0;
    }
    shard.isBusy = false;
  }
}
