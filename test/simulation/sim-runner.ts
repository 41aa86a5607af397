/** One runner process: the real connection, credential store and session on a clock, a disk and a network that all may fail it. */
import { silentLog } from '../../runner-image/src/log.ts';
import { loadSession } from '../../runner-image/src/session/saved-session.ts';
import { Connection } from '../../runner-image/src/transport/connection.ts';
import { openDialStore } from '../../runner-image/src/transport/dial-store.ts';
import type { Disk } from '../../runner-image/src/transport/disk.ts';
import type { EventEnvelope } from '../../shared/events.ts';
import type { Assign, ControlToRunnerFrame, FrameOf } from '../../shared/frames.ts';
import type { Machine } from './gateway.ts';
import type { LinePlant } from './plant.ts';
import { clockOf } from './scheduler.ts';
import type { HostWorld, SimHost, SimProcess } from './sim-host.ts';
import { SimSession } from './sim-session.ts';

/** Disks fill up for so long. */
const FULL_MS = 8_000;

export class SimRunner implements SimProcess {
  readonly machine: Machine;
  readonly linePlant: LinePlant | null;
  readonly #world: HostWorld;
  readonly #host: SimHost;
  #isAlive = true;
  #connection: Connection | null = null;
  #session: SimSession | null = null;
  #welcome: FrameOf<ControlToRunnerFrame, 'welcome'> | null = null;
  #dial = 0;

  constructor(world: HostWorld, host: SimHost) {
    this.#world = world;
    this.#host = host;
    this.machine = host.machine;
    this.linePlant = world.plant.line?.() ?? null;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get sessions(): readonly SimSession[] {
    return this.#session === null ? [] : [this.#session];
  }

  get isUp(): boolean {
    return this.#connection?.isUp === true;
  }

  start(): void {
    this.enter(() => this.#begin());
  }

  /** Dies where it stands: what it would do after this never happens. */
  die(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    // Nothing of this call may go on before its caller has returned.
    this.#world.scheduler.after(0, () => this.#host.processEnded(this, 1));
  }

  stop(): void {
    this.#isAlive = false;
  }

  drain(): void {
    this.enter(() => (this.#session ? this.#session.drain() : this.#exit()));
  }

  /** Every way into the process: a failure nobody caught ends it, as it does the real one. */
  enter(run: () => void): void {
    if (!this.#isAlive) return;
    const { faults } = this.#world;
    if (faults.strikes('runner_crash')) this.die();
    else if (faults.strikes('host_loss')) this.#host.lose();
    if (!this.#isAlive) return;
    if (faults.draws('disk_full')) this.#host.disk.fill(this.#world.scheduler.nowMs + FULL_MS);
    try {
      run();
    } catch {
      this.die();
    }
  }

  #begin(): void {
    const { chance, gateway, scheduler } = this.#world;
    const disk = this.#disk();
    const plain = clockOf(scheduler, this, () => this.#host.skewMs);
    const clock = {
      ...plain,
      after: (delayMs: number, run: () => void) => plain.after(delayMs, () => this.enter(run)),
    };
    const ports = {
      ...{ clock, disk, random: chance, log: silentLog, stateDir: 'state' },
      bootMs: () => scheduler.nowMs,
      send: (frame: string) => this.#connection?.send(frame) === 'sent',
      put: this.#world.objects.putter(this),
      onTick: () => {},
      sayHello: () => this.#connection?.helloAgain(),
    };
    const fixed = { ports, chance, faults: this.#world.faults, onEnded: () => this.#exit() };
    const placeOf = (of: { sessionId: string; epoch: number }) => this.#host.ground.place(of);
    const open = gateway.opener(this);
    this.#connection = new Connection({
      ...{ clock, random: chance, log: silentLog },
      openSocket: (ticket, events) => {
        const socket = open(ticket, events);
        return {
          ...socket,
          send: (text, onSent) => {
            if (this.#isAlive) this.#host.sawSent(text);
            socket.send(text, onSent);
          },
        };
      },
      dialStore: openDialStore('state/dial.json', this.#host.token, chance, disk),
      hello: () => ({
        ...{ runnerId: 'runner-1', runnerVersion: '0.1.0', buildId: 'build-1', clis: { shell: '1.0' } },
        ...{ isolation: 'shared_uid', capacity: 1, draining: false },
        sessions: this.#session ? [this.#session.hello()] : [],
      }),
      isSettled: () => this.#session?.isWelcome === true,
      onFrame: (frame) =>
        this.#onFrame(frame, (assign) => new SimSession({ ...fixed, place: placeOf(assign), assign, saved: null })),
      onUp: (dial) => {
        this.#dial = dial;
        this.#session?.onUp();
      },
      onDown: () => this.#session?.core.events.onDown(),
      onRefused: () => (this.#session ? this.#session.abort('credential_refused') : this.#exit()),
    });
    const saved = loadSession('state/session.json', disk);
    if (saved) {
      this.#session = new SimSession({ ...fixed, place: placeOf(saved), assign: { ...saved, ranMs: 0 }, saved });
      this.#running(this.#session.begin());
    }
    this.#connection.start();
  }

  #onFrame(frame: ControlToRunnerFrame, open: (assign: Omit<Assign, 'type' | 'checkpoint'>) => SimSession): void {
    this.#host.sawReceived(frame);
    if (frame.type === 'welcome') this.#welcome = frame;
    if (frame.type !== 'assign') this.#session?.onFrame(frame);
    else if (this.#session === null) this.#onAssign(frame, open);
  }

  #onAssign(frame: Assign, open: (assign: Omit<Assign, 'type' | 'checkpoint'>) => SimSession): void {
    const { type: _type, checkpoint: _checkpoint, ...assign } = frame;
    const session = open(assign);
    this.#session = session;
    this.#world.truth.began(this.#host, session.options.place, 1);
    const runnerId = `runner-${assign.epoch}`;
    session.core.record({ type: 'session_assigned', runnerId, runnerVersion: '0.1.0', dial: this.#dial });
    this.#running(session.begin());
    if (this.isUp && this.#welcome) session.onFrame(this.#welcome);
    this.#connection?.helloAgain();
  }

  /** Rejections nobody handles end the process too. */
  #running(work: Promise<void>): void {
    work.catch(() => this.die());
  }

  #disk(): Disk {
    const { scheduler, plant } = this.#world;
    const self = this;
    const disk = this.#host.disk.mount({
      get isAlive() {
        return self.#isAlive;
      },
      die: () => this.die(),
      nowMs: () => scheduler.nowMs,
      onAppended: (_path, bytes) => {
        const record = JSON.parse(Buffer.from(bytes).toString('utf8'));
        if (record.k === 'event') this.#journaled(record.event as EventEnvelope);
      },
    });
    return plant.disk?.(disk) ?? disk;
  }

  #journaled(event: EventEnvelope): void {
    this.#host.ground.place(event).journaled(event);
  }

  #exit(): void {
    if (!this.#isAlive) return;
    this.#connection?.close();
    this.#world.scheduler.after(0, () => this.#host.processEnded(this, 0), this);
  }
}
