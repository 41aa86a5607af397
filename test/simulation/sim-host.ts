/** One container on a machine: the runner process, started again when it crashes, and the CLIs under pty-host, which end with it. */
import { decideRestart, NO_RESTART_EXIT_CODE } from '../../runner-image/src/pty-host/restart-policy.ts';
import type { ControlToRunnerFrame } from '../../shared/frames.ts';
import { parseRunnerCredential } from '../../shared/runner-credential.ts';
import type { Chance } from './chance.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Host } from './ecs.ts';
import type { Faults } from './faults.ts';
import type { Gateway, LineOwner, Machine } from './gateway.ts';
import type { SimObjects } from './objects.ts';
import type { Plant } from './plant.ts';
import type { Owner, Scheduler } from './scheduler.ts';
import type { SimDisk } from './sim-disk.ts';
import { SimGround } from './sim-ground.ts';
import type { PlaceMachine, SimPlace } from './sim-place.ts';
import { SimRunner } from './sim-runner.ts';
import type { SimSession } from './sim-session.ts';
import { SimSharedRunner } from './sim-shared-runner.ts';
import type { Truth } from './truth.ts';

export interface HostWorld {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly gateway: Gateway;
  readonly objects: SimObjects;
  readonly control: () => ControlPlane;
  readonly plant: Plant;
  readonly truth: Truth;
}

/** One runner process. */
export interface SimProcess extends LineOwner {
  readonly sessions: readonly SimSession[];
  readonly isUp: boolean;
  start(): void;
  /** It is gone; nothing of it goes on. */
  stop(): void;
  /** SIGTERM. */
  drain(): void;
}

export interface HostOptions {
  readonly token: string;
  readonly capacity: number;
  /** Of a machine that was there before; a new one otherwise, which ends with its container. */
  readonly ground?: SimGround;
  /** The machine goes away, with its disk. */
  readonly onLost: () => void;
  readonly onExit: (exitCode: number) => void;
}

const SKEW_MAX_MS = 3 * 60 * 60_000;

export class SimHost implements Host, Owner, PlaceMachine {
  readonly ground: SimGround;
  readonly #world: HostWorld;
  readonly #options: HostOptions;
  readonly #crashesMs: number[] = [];
  #isAlive = true;
  #process: SimProcess | null = null;
  #settledMs = Number.NEGATIVE_INFINITY;
  #skewMs = 0;
  #isTerminating = false;

  constructor(world: HostWorld, options: HostOptions) {
    this.#world = world;
    this.#options = options;
    this.ground = options.ground ?? new SimGround(world);
    this.ground.host = this;
  }

  start(): void {
    this.#startProcess();
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get process(): SimProcess | null {
    return this.#process;
  }

  get disk(): SimDisk {
    return this.ground.disk;
  }

  get machine(): Machine {
    return this.ground.machine;
  }

  get token(): string {
    return this.#options.token;
  }

  get capacity(): number {
    return this.#options.capacity;
  }

  get skewMs(): number {
    return this.#skewMs;
  }

  skew(): void {
    this.#skewMs = this.#world.chance.between(-SKEW_MAX_MS, SKEW_MAX_MS);
  }

  worked(place: SimPlace): void {
    this.#world.truth.worked(this, place);
  }

  terminate(): void {
    this.#isTerminating = true;
    this.#process?.drain();
    if (this.#process === null) this.#exit(143);
  }

  /** With its disk. */
  destroy(): void {
    if (!this.#isAlive) return;
    this.#end();
    this.ground.lost();
  }

  /** The machine goes away with what runs on it and with its disk. */
  lose(): void {
    this.#options.onLost();
  }

  /** The power fails: what is written stays. */
  powerOff(): void {
    if (!this.#isAlive) return;
    this.#end();
    this.ground.stopped();
  }

  /** The machine restarts: what runs on it is gone, what is written stays. */
  fail(): void {
    this.#exit(1);
  }

  /** The process has its sessions again: crashes before this do not count as a row of them. */
  settled(): void {
    this.#settledMs = this.#world.scheduler.nowMs;
  }

  /** The runner process ended: in order, or by a crash. */
  processEnded(process: SimProcess, exitCode: number): void {
    if (process !== this.#process) return;
    this.#kill();
    if (!this.#isAlive) return;
    if (exitCode === 0 || exitCode === NO_RESTART_EXIT_CODE || this.#isTerminating) {
      this.#exit(exitCode);
      return;
    }
    const { scheduler } = this.#world;
    this.#crashesMs.push(scheduler.nowMs);
    const decision = decideRestart(this.#crashesMs, scheduler.nowMs, this.#settledMs);
    if (decision.action === 'give_up') this.#exit(1);
    else scheduler.after(decision.delayMs, () => this.#startProcess(), this);
  }

  sawSent(text: string): void {
    const frame = JSON.parse(text);
    if (frame.type === 'runner_events') this.ground.place(frame).sawBatch(frame);
  }

  sawReceived(frame: ControlToRunnerFrame): void {
    if (frame.type === 'ack') this.ground.known(frame)?.sawAck(frame);
    if (frame.type === 'nack') this.ground.known(frame)?.sawNack(frame);
    if (frame.type === 'welcome') for (const entry of frame.sessions) this.ground.known(entry)?.sawWelcome(entry);
  }

  #startProcess(): void {
    for (const place of this.ground.places) place.processStarted();
    this.#world.truth.processStarted(this);
    const { token } = this.#options;
    const kind = parseRunnerCredential(token)?.principal.kind ?? 'session';
    this.#process =
      kind === 'session' ? new SimRunner(this.#world, this) : new SimSharedRunner(this.#world, this, kind);
    this.#process.start();
  }

  #kill(): void {
    const process = this.#process;
    this.#process = null;
    if (process === null) return;
    process.stop();
    this.#world.gateway.processEnded(process);
  }

  #end(): void {
    this.#isAlive = false;
    this.#kill();
  }

  #exit(exitCode: number): void {
    if (!this.#isAlive) return;
    if (this.#options.ground === undefined) {
      this.#end();
      this.ground.lost(exitCode === 0);
    } else this.powerOff();
    this.#options.onExit(exitCode);
  }
}
