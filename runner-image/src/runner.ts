/** The runner: one line to the control plane and the sessions it serves over it. main.ts gives it the real world. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Assign, ControlToRunnerFrame, FrameOf, RunnerFrame } from '../../shared/frames.ts';
import { RUNNER_STATUS_MS, TAKE_UP_RETRY_MS, WORKSPACE_SWEEP_MS } from '../../shared/limits.ts';
import type { RunnerConfig } from './config.ts';
import type { HealthState } from './health/health-server.ts';
import { RunnerCounters } from './health/runner-counters.ts';
import { NO_RESTART_EXIT_CODE } from './pty-host/restart-policy.ts';
import { Assignments } from './runner/assignments.ts';
import { Departure, type Going } from './runner/departure.ts';
import { type Held, HeldSessions, type SharedPorts } from './runner/held-sessions.ts';
import { prepareAhead } from './runner/prepare-ahead.ts';
import { rehearse } from './runner/rehearsal.ts';
import { Rounds } from './runner/rounds.ts';
import { countsOf, healthOf, helloOf } from './runner/self-description.ts';
import { SessionFolders } from './runner/session-folders.ts';
import { SessionGuard } from './runner/session-guard.ts';
import { Connection, type HelloBody } from './transport/connection.ts';
import { openDialStore } from './transport/dial-store.ts';
import { FairSender } from './transport/fair-sender.ts';
import type { OpenSocket } from './transport/socket.ts';
import { WorkspaceSweeper } from './workspace/sweeper.ts';

export interface RunnerOptions {
  readonly config: RunnerConfig;
  readonly openSocket: OpenSocket;
  /** Everything but what the runner itself provides. */
  readonly ports: SharedPorts;
  /** Below the runner's state folder unless told. */
  readonly folders?: SessionFolders;
}

type Welcome = FrameOf<ControlToRunnerFrame, 'welcome'>;

export class Runner {
  readonly #options: RunnerOptions;
  readonly #connection: Connection;
  readonly #line: FairSender;
  readonly #sessions: HeldSessions;
  readonly #assignments: Assignments;
  readonly #departure: Departure;
  /** Of folders whose session is over, and whose runner is gone. */
  readonly #sweeper: WorkspaceSweeper;
  readonly #guard = new SessionGuard();
  readonly #counters = new RunnerCounters();
  readonly #done = Promise.withResolvers<number>();
  readonly #folders: SessionFolders;
  readonly #rounds: Rounds;
  /** Of the line that is up. */
  #welcome: Welcome | null = null;
  /** Of this process. */
  #firstDial: number | null = null;

  constructor(options: RunnerOptions) {
    const { config, ports, openSocket } = options;
    const { clock, random, log } = ports;
    this.#options = options;
    mkdirSync(config.VILLAGE_STATE_DIR, { recursive: true, mode: 0o700 });
    this.#connection = new Connection({
      ...{ openSocket, clock, random, log },
      dialStore: openDialStore(join(config.VILLAGE_STATE_DIR, 'dial.json'), config.CONTROL_PLANE_TOKEN, random),
      hello: (dial) => this.#hello(dial),
      isSettled: () => this.#isSettled,
      onFrame: (frame) => this.#onFrame(frame),
      onUp: (dial) => this.#onUp(dial),
      onDown: () => this.#onDown(),
      onRefused: (status) => this.#onRefused(status),
    });
    this.#line = new FairSender({
      capacity: config.MAX_CONCURRENT_SESSIONS,
      transmit: (frame, onSent) => {
        this.#counters.framesOut += 1;
        return this.#connection.send(frame, onSent) === 'sent';
      },
    });
    this.#rounds = new Rounds(clock);
    this.#folders = options.folders ?? new SessionFolders({ stateDir: config.VILLAGE_STATE_DIR, log });
    this.#sessions = new HeldSessions({
      ...{ config, ports, line: this.#line, guard: this.#guard, keepsUndelivered: this.#stays },
      folders: this.#folders,
      sayHello: () => this.#connection.helloAgain(),
      onTick: (held) => this.#onTick(held),
      onEnded: (held) => this.#onEnded(held),
    });
    this.#sweeper = new WorkspaceSweeper({
      ...{ root: config.WORKSPACE_ROOT, clock, log },
      held: () => this.#sessions.all.map(({ sessionId }) => sessionId),
    });
    this.#assignments = new Assignments({
      ...{ config, log, sessions: this.#sessions },
      isDraining: () => this.#departure.isDraining,
      serve: (frame) => this.#serve(frame),
      say: (frame) => this.#say(frame),
    });
    this.#departure = new Departure({
      ...{ clock, log, sessions: () => this.#sessions },
      onChange: () => this.#sayStatus(),
      onGone: (going) => this.#finish(going),
    });
  }

  /** Resolves with the exit code: 0 when nothing is left to do, also for a session that failed. */
  run(): Promise<number> {
    this.#start().catch((error: unknown) => this.#done.reject(error));
    return this.#done.promise;
  }

  /** SIGTERM: every session ends in order and in time, then the runner. */
  drain(): void {
    this.#options.ports.log.info('draining', { sessions: this.#sessions.all.length });
    this.#departure.leave({ exitCode: 0, forgets: false }, (sessions) => sessions.drainAll());
  }

  /** Takes an error that nobody caught where it is one session's alone. @returns false when it is the runner's */
  contain(error: unknown): boolean {
    const owner = this.#guard.owner;
    // A runner of one session is started again instead, and its session goes on.
    if (!owner || !this.#stays) return false;
    this.#sessions.fail(owner, error);
    return true;
  }

  health(): HealthState {
    const { all } = this.#sessions;
    return healthOf(this.#options.config, this.#sessions, {
      isConnected: this.#connection.isUp,
      isDraining: this.#departure.isDraining,
      counters: this.#counters.all(all.map(countsOf), this.#assignments.served, this.#line),
    });
  }

  /** Serves several sessions, and goes on when they are over. */
  get #stays(): boolean {
    return this.#options.config.principal.kind === 'group';
  }

  /** One that waits for sessions needs none; one for a session asks until it has it. */
  get #isSettled(): boolean {
    const isAssigned = this.#options.config.principal.kind !== 'session' || this.#sessions.all.length > 0;
    return isAssigned && this.#sessions.areWelcome;
  }

  async #start(): Promise<void> {
    const { config, ports } = this.#options;
    const { log, adapters } = ports;
    this.#sessions.earlier.takeUp();
    // Before anything is assigned: programs of no session here are told from those that are about to be started.
    const settled = this.#settle();
    if (config.principal.kind !== 'session') {
      await prepareAhead(config, adapters, log);
      if (config.principal.kind === 'warm' && this.#sessions.all.length === 0) await rehearse(config, ports);
      this.#rounds.every(RUNNER_STATUS_MS, () => this.#sayStatus());
    }
    this.#rounds.every(WORKSPACE_SWEEP_MS, () => this.#sweep());
    void settled.then(() =>
      this.#rounds.every(TAKE_UP_RETRY_MS, () => {
        if (this.#sessions.earlier.stuck > 0) void this.#settle();
      }),
    );
    if (!this.#departure.isDraining) this.#connection.start();
  }

  #sweep(): void {
    void this.#sweeper.look();
    void this.#folders.sweep();
  }

  async #settle(): Promise<void> {
    const before = new Set(this.#sessions.all);
    await this.#sessions.earlier.settle();
    const hasNew = this.#sessions.all.some((held) => !before.has(held));
    if (hasNew && this.#connection.isUp) this.#connection.helloAgain();
  }

  #hello(dial: number): HelloBody {
    const { config, ports } = this.#options;
    this.#firstDial ??= dial;
    return helloOf(config, ports, {
      ...(this.#sessions.earlier.areAllHeld ? { firstDial: this.#firstDial } : {}),
      draining: this.#departure.isDraining,
      sessions: this.#sessions.hello(dial),
    });
  }

  #onUp(dial: number): void {
    this.#options.ports.log.info('connected', { dial });
    this.#counters.dial = dial;
    this.#counters.ups += 1;
    this.#welcome = null;
    this.#line.onUp();
    this.#sessions.onUp();
    if (!this.#stays) return;
    // What ended while there was no line is delivered now.
    const held = this.#sessions.all.length;
    this.#sessions.earlier.takeUp();
    if (this.#sessions.all.length > held) this.#connection.helloAgain();
  }

  #onDown(): void {
    this.#welcome = null;
    this.#line.onDown();
    this.#sessions.onDown();
  }

  #onFrame(frame: ControlToRunnerFrame): void {
    this.#counters.framesIn += 1;
    const { log, clock } = this.#options.ports;
    switch (frame.type) {
      case 'assign':
        this.#assignments.take(frame);
        return;
      case 'ping':
        this.#say({ type: 'pong', ts: clock.nowMs() });
        return;
      case 'pong':
        return;
      case 'runner_desired':
        this.#departure.ask(frame.desired);
        return;
      case 'error':
        if (frame.code === 'protocol_unsupported') this.#giveUp('protocol_unsupported', frame.message, false);
        else log.warn('the control plane answered with an error', { code: frame.code, answer: frame.message });
        return;
      case 'welcome':
        this.#onWelcome(frame);
        return;
      default:
        this.#sessions.onFrame(frame);
    }
  }

  #onWelcome(frame: Welcome): void {
    // The answer to an older dial says nothing about what is held now.
    if (frame.dial !== this.#counters.dial) return;
    this.#welcome = frame;
    this.#sessions.welcome(frame);
    this.#departure.ask(frame.desired);
  }

  #serve(frame: Assign): void {
    const { sessionId, epoch } = frame;
    const held = this.#sessions.start(frame);
    const welcome = this.#welcome;
    if (!welcome || !this.#connection.isUp) return;
    // A welcome that came before its session was known opens the stream of events now.
    if (welcome.sessions.some((entry) => entry.sessionId === sessionId && entry.epoch === epoch))
      this.#sessions.welcome(welcome);
    else if (this.#options.config.principal.kind !== 'session') this.#sessions.open(held, welcome.dial);
    // What was pushed between that welcome and the assignment (a stop, a viewer) found no session here.
    this.#connection.helloAgain();
  }

  #onTick(held: Held): void {
    const { config, ports } = this.#options;
    const { sessionId } = held;
    if (config.METRICS_ENABLED)
      ports.log.info('metrics', { sessionId, metrics: this.#counters.metricsOf(countsOf(held)) });
  }

  #onEnded(held: Held): void {
    this.#counters.ended(countsOf(held));
    const goesOn = this.#assignments.sessionEnded(held) || this.#stays;
    if (!goesOn) this.#departure.leave({ exitCode: 0, forgets: false }, () => {});
    this.#departure.sessionEnded();
  }

  #onRefused(status: number): void {
    const { log } = this.#options.ports;
    if (this.#stays) {
      const hint = 'it was revoked, or another runner uses its token; register the runner again';
      this.#giveUp('credential_refused', `The control plane refuses this runner (${status}): ${hint}.`, true);
      return;
    }
    log.warn('the credential is refused', { status });
    // Its session has ended elsewhere.
    this.#departure.leave({ exitCode: 0, forgets: true }, (sessions) => sessions.abortAll('credential_refused'));
  }

  /** Nothing can be served any more: everything is killed, and nobody starts this process again. */
  #giveUp(why: string, message: string, forgets: boolean): void {
    this.#options.ports.log.error(message, { why });
    this.#departure.leave({ exitCode: NO_RESTART_EXIT_CODE, forgets }, (sessions) => sessions.abortAll(why));
  }

  #sayStatus(): void {
    const { clock } = this.#options.ports;
    if (this.#options.config.principal.kind === 'session') return;
    this.#say({
      type: 'runner_status',
      ts: clock.nowMs(),
      live: this.#sessions.live,
      capacity: this.#options.config.MAX_CONCURRENT_SESSIONS,
      draining: this.#departure.isDraining,
    });
  }

  #say(frame: RunnerFrame): void {
    this.#connection.send(JSON.stringify(frame));
  }

  #finish({ exitCode, forgets }: Going): void {
    this.#connection.close();
    this.#rounds.stop();
    // One that stays goes on with its credential, and with what it could not deliver.
    if (!this.#stays || forgets) this.#folders.removeAll();
    this.#done.resolve(exitCode);
  }
}
