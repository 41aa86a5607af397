/**
 * One process of a runner that is not a session's own: customer-hosted, with several sessions on one line, or idle until it is claimed. The
 * line, its fair sender, what becomes of an assignment and how the runner goes are the real ones; how it holds its sessions is followed here.
 */
import { silentLog } from '../../runner-image/src/log.ts';
import { NO_RESTART_EXIT_CODE } from '../../runner-image/src/pty-host/restart-policy.ts';
import { Assignments } from '../../runner-image/src/runner/assignments.ts';
import { Departure, type Going } from '../../runner-image/src/runner/departure.ts';
import type { HeldSessions } from '../../runner-image/src/runner/held-sessions.ts';
import type { SessionKey } from '../../runner-image/src/runner/session-guard.ts';
import { Connection } from '../../runner-image/src/transport/connection.ts';
import { openDialStore } from '../../runner-image/src/transport/dial-store.ts';
import type { Disk } from '../../runner-image/src/transport/disk.ts';
import { FairSender } from '../../runner-image/src/transport/fair-sender.ts';
import type { EventEnvelope } from '../../shared/events.ts';
import type { Assign, ControlToRunnerFrame, FrameOf, RunnerFrame } from '../../shared/frames.ts';
import { RUNNER_STATUS_MS, TAKE_UP_RETRY_MS } from '../../shared/limits.ts';
import { parseRunnerCredential } from '../../shared/runner-credential.ts';
import type { Machine } from './gateway.ts';
import type { LinePlant } from './plant.ts';
import { clockOf } from './scheduler.ts';
import { SimHeld } from './sim-held.ts';
import type { HostWorld, SimHost, SimProcess } from './sim-host.ts';
import type { SimSession } from './sim-session.ts';

/** Disks fill up for so long. */
const FULL_MS = 8_000;
type Welcome = FrameOf<ControlToRunnerFrame, 'welcome'>;

export class SimSharedRunner implements SimProcess {
  readonly machine: Machine;
  readonly linePlant: LinePlant | null;
  readonly #world: HostWorld;
  readonly #host: SimHost;
  readonly #kind: 'group' | 'warm';
  readonly #runnerId: string;
  readonly #connection: Connection;
  readonly #line: FairSender;
  readonly #sessions: SimHeld;
  readonly #assignments: Assignments;
  readonly #departure: Departure;
  readonly #clock: ReturnType<typeof clockOf>;
  #isAlive = true;
  #dial = 0;
  #firstDial: number | null = null;
  #welcome: Welcome | null = null;

  constructor(world: HostWorld, host: SimHost, kind: 'group' | 'warm') {
    const { scheduler } = world;
    this.#world = world;
    this.#host = host;
    this.#kind = kind;
    this.machine = host.machine;
    this.linePlant = world.plant.line?.() ?? null;
    const principal = parseRunnerCredential(host.token)?.principal;
    if (principal === undefined || principal.kind === 'session') throw new Error('not the token of such a runner');
    this.#runnerId = principal.runnerId;
    const plain = clockOf(scheduler, this, () => host.skewMs);
    const clock = {
      ...plain,
      after: (delayMs: number, run: () => void) => plain.after(delayMs, () => this.enter(run)),
    };
    this.#clock = clock;
    const disk = this.#disk();
    this.#connection = this.#open(disk);
    this.#line = new FairSender({
      capacity: host.capacity,
      transmit: (frame, onSent) => this.#connection.send(frame, onSent) === 'sent',
    });
    this.#sessions = new SimHeld({
      ...{ world, host, disk, clock, line: this.#line, putter: world.objects.putter(this) },
      ...{ runnerId: this.#runnerId, keepsUndelivered: this.#stays },
      isAlive: () => this.#isAlive,
      die: () => this.die(),
      sayHello: () => this.#connection.helloAgain(),
      onEnded: (held) => this.#onEnded(held),
    });
    // The real one holds sessions of a real machine; of these it needs what both have.
    const held = this.#sessions as unknown as HeldSessions;
    this.#assignments = new Assignments({
      config: { principal, MAX_CONCURRENT_SESSIONS: host.capacity },
      ...{ log: silentLog, sessions: held },
      isDraining: () => this.#departure.isDraining,
      serve: (frame) => this.#serve(frame),
      say: (frame) => this.#say(frame),
    });
    this.#departure = new Departure({
      ...{ clock, log: silentLog, sessions: () => held },
      onChange: () => this.#sayStatus(),
      onGone: (going) => this.#finish(going),
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get sessions(): readonly SimSession[] {
    return this.#sessions.all.map(({ runtime }) => runtime);
  }

  get isUp(): boolean {
    return this.#connection.isUp;
  }

  start(): void {
    this.enter(() => {
      this.#sessions.takeUp();
      this.#host.settled();
      this.#every(RUNNER_STATUS_MS, () => this.#sayStatus());
      if (this.#stays) this.#every(TAKE_UP_RETRY_MS, () => this.#retryStuck());
      if (!this.#departure.isDraining) this.#connection.start();
    });
  }

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
    this.enter(() => this.#departure.leave({ exitCode: 0, forgets: false }, (sessions) => sessions.drainAll()));
  }

  enter(run: () => void): void {
    if (!this.#isAlive) return;
    const { faults } = this.#world;
    if (faults.strikes('runner_crash')) this.die();
    else if (faults.strikes('host_loss')) this.#host.lose();
    else if (this.#stays && faults.strikes('machine_restart')) this.#host.fail();
    if (!this.#isAlive) return;
    if (faults.draws('disk_full')) this.#host.disk.fill(this.#world.scheduler.nowMs + FULL_MS);
    try {
      run();
    } catch {
      this.die();
    }
  }

  get #stays(): boolean {
    return this.#kind === 'group';
  }

  #open(disk: Disk): Connection {
    const { chance, gateway } = this.#world;
    const open = gateway.opener(this);
    return new Connection({
      ...{ clock: this.#clock, random: chance, log: silentLog },
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
      hello: (dial) => ({
        ...{ runnerId: this.#runnerId, runnerVersion: '0.1.0', buildId: 'build-1', clis: { shell: '1.0' } },
        ...{ isolation: 'shared_uid', capacity: this.#host.capacity, draining: this.#departure.isDraining },
        ...this.#first(dial),
        sessions: this.#sessions.hello(dial),
      }),
      isSettled: () => this.#sessions.areWelcome,
      onFrame: (frame) => this.#onFrame(frame),
      onUp: (dial) => this.#onUp(dial),
      onDown: () => {
        this.#welcome = null;
        this.#line.onDown();
        this.#sessions.onDown();
      },
      onRefused: () => this.#onRefused(),
    });
  }

  /** The first dial of this process, where nothing waits on the disk that it does not name. */
  #first(dial: number): { firstDial?: number } {
    this.#firstDial ??= dial;
    return this.#sessions.areAllHeld ? { firstDial: this.#firstDial } : {};
  }

  #onUp(dial: number): void {
    this.#dial = dial;
    this.#welcome = null;
    this.#line.onUp();
    this.#sessions.onUp();
    if (!this.#stays) return;
    const held = this.#sessions.all.length;
    this.#sessions.takeUp();
    if (this.#sessions.all.length > held) this.#connection.helloAgain();
  }

  #onFrame(frame: ControlToRunnerFrame): void {
    this.#host.sawReceived(frame);
    switch (frame.type) {
      case 'assign':
        this.#assignments.take(frame);
        return;
      case 'ping':
        this.#say({ type: 'pong', ts: this.#clock.nowMs() });
        return;
      case 'pong':
      case 'error':
        return;
      case 'runner_desired':
        this.#departure.ask(frame.desired);
        return;
      case 'welcome':
        if (frame.dial !== this.#dial) return;
        this.#welcome = frame;
        this.#sessions.welcome(frame);
        this.#departure.ask(frame.desired);
        return;
      default:
        this.#sessions.onFrame(frame);
    }
  }

  #serve(frame: Assign): void {
    const { sessionId, epoch } = frame;
    const held = this.#sessions.start(frame);
    const welcome = this.#welcome;
    if (!welcome || !this.#connection.isUp) return;
    if (welcome.sessions.some((entry) => entry.sessionId === sessionId && entry.epoch === epoch))
      this.#sessions.welcome(welcome);
    else this.#sessions.open(held, welcome.dial);
    this.#connection.helloAgain();
  }

  #onEnded(held: SessionKey): void {
    const goesOn = this.#assignments.sessionEnded(held) || this.#stays;
    if (!goesOn) this.#departure.leave({ exitCode: 0, forgets: false }, () => {});
    this.#departure.sessionEnded();
  }

  #onRefused(): void {
    const going = { exitCode: this.#stays ? NO_RESTART_EXIT_CODE : 0, forgets: true };
    if (this.#stays) this.#world.truth.revocationHeard(this.#host);
    this.#departure.leave(going, (sessions) => sessions.abortAll('credential_refused'));
  }

  #retryStuck(): void {
    if (this.#sessions.retryStuck() && this.#connection.isUp) this.#connection.helloAgain();
  }

  #sayStatus(): void {
    const { capacity } = this.#host;
    const { live } = this.#sessions;
    const ts = this.#clock.nowMs();
    this.#say({ type: 'runner_status', ts, live, capacity, draining: this.#departure.isDraining });
  }

  #say(frame: RunnerFrame): void {
    this.#connection.send(JSON.stringify(frame));
  }

  #every(intervalMs: number, run: () => void): void {
    run();
    this.#clock.after(intervalMs, () => this.#every(intervalMs, run));
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

  #finish({ exitCode, forgets }: Going): void {
    if (!this.#isAlive) return;
    this.#connection.close();
    if (forgets) this.#sessions.forgetAll();
    this.#world.scheduler.after(0, () => this.#host.processEnded(this, exitCode), this);
  }
}
