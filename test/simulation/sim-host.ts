/** One machine: its disk, the CLI under pty-host, and the runner process, which is started again when it crashes. */
import { decideRestart } from '../../runner-image/src/pty-host/restart-policy.ts';
import type { Freezable } from '../../runner-image/src/session/freezer.ts';
import type { EventEnvelope } from '../../shared/events.ts';
import type { ControlToRunnerFrame } from '../../shared/frames.ts';
import { LEASE_MS } from '../../shared/limits.ts';
import type { Chance } from './chance.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Host } from './ecs.ts';
import type { Faults } from './faults.ts';
import type { Gateway, Machine } from './gateway.ts';
import type { SimObjects } from './objects.ts';
import type { Plant } from './plant.ts';
import type { Owner, Scheduler } from './scheduler.ts';
import { SimDisk } from './sim-disk.ts';
import { SimRunner } from './sim-runner.ts';
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

export interface Cli {
  readonly epoch: number;
  readonly workPlanned: number;
  readonly endsWhenDone: boolean;
  worked: number;
  isFrozen: boolean;
  isDead: boolean;
}

/** Looking and freezing take their time after the lease ran out. */
const LEASE_SLACK_MS = 20_000;
const SKEW_MAX_MS = 3 * 60 * 60_000;

export class SimHost implements Host, Owner {
  readonly disk: SimDisk;
  readonly machine: Machine = { partitionUntilMs: 0, isPartitionMet: false };
  readonly #world: HostWorld;
  readonly #token: string;
  readonly #onExit: (exitCode: number) => void;
  readonly #crashesMs: number[] = [];
  #isAlive = true;
  #process: SimRunner | null = null;
  #cli: Cli | null = null;
  #offset = 0;
  #skewMs = 0;
  #isTerminating = false;
  /** When the batch that was acknowledged last was first sent, as the wire showed it. */
  #provenAtMs = Number.POSITIVE_INFINITY;
  readonly #sent = new Map<number, { readonly digest: string; readonly atMs: number }>();

  constructor(world: HostWorld, token: string, onExit: (exitCode: number) => void) {
    this.#world = world;
    this.#token = token;
    this.#onExit = onExit;
    this.disk = new SimDisk(world.chance, world.faults);
    this.#startProcess();
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get process(): SimRunner | null {
    return this.#process;
  }

  get cli(): Cli | null {
    return this.#cli;
  }

  /** Bytes of terminal on the spool. */
  get offset(): number {
    return this.#offset;
  }

  get skewMs(): number {
    return this.#skewMs;
  }

  terminate(): void {
    this.#isTerminating = true;
    this.#process?.drain();
    if (this.#process === null) this.#exit(143);
  }

  destroy(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    this.#kill();
    if (this.#cli) this.#cli.isDead = true;
    this.#world.truth.diskLost(this);
  }

  /** The runner process ended: in order, or by a crash. */
  processEnded(process: SimRunner, exitCode: number): void {
    if (process !== this.#process) return;
    this.#kill();
    if (!this.#isAlive) return;
    if (exitCode === 0 || this.#isTerminating) {
      this.#exit(exitCode);
      return;
    }
    const { scheduler } = this.#world;
    this.#crashesMs.push(scheduler.nowMs);
    const decision = decideRestart(this.#crashesMs, scheduler.nowMs);
    if (decision.action === 'give_up') this.#exit(1);
    else scheduler.after(decision.delayMs, () => this.#startProcess(), this);
  }

  startCli(epoch: number): Cli {
    const { chance } = this.#world;
    this.#cli = {
      epoch,
      workPlanned: chance.int(3, 40),
      endsWhenDone: chance.is(0.7),
      ...{ worked: 0, isFrozen: false, isDead: false },
    };
    return this.#cli;
  }

  killCli(): void {
    if (this.#cli && this.#process?.isAlive === true) this.#cli.isDead = true;
  }

  freezable(cli: Cli): Freezable {
    const set = async (isFrozen: boolean): Promise<void> => {
      await this.pause(this.#world.chance.between(1, 30));
      cli.isFrozen = isFrozen;
    };
    const target: Freezable = {
      freeze: () => set(true),
      thaw: () => set(false),
      kill: async () => {
        await this.pause(1);
        cli.isDead = true;
      },
    };
    return this.#world.plant.freezable?.(target) ?? target;
  }

  print(sizeBytes: number): void {
    if (this.#process?.isAlive === true) this.#offset += sizeBytes;
  }

  skew(): void {
    this.#skewMs = this.#world.chance.between(-SKEW_MAX_MS, SKEW_MAX_MS);
  }

  /** Waits as the running process: forgotten when it crashes. */
  pause(delayMs: number): Promise<void> {
    return this.#world.scheduler.pause(delayMs, this.#process);
  }

  /** A CLI that works is one whose runner can show a recent acknowledgement. */
  checkLease(): void {
    const { scheduler, truth } = this.#world;
    const lateMs = scheduler.nowMs - (this.#provenAtMs + LEASE_MS);
    if (lateMs > LEASE_SLACK_MS) truth.workedWithoutLease(this, lateMs);
  }

  /** The wire between process and gateway, as it was seen from outside. */
  sawSent(text: string): void {
    const frame = JSON.parse(text);
    if (frame.type !== 'runner_events') return;
    this.#world.truth.sent(this, frame.sessionId, frame.epoch);
    // An empty batch has the number of the events that follow it.
    const { firstRseq, digest } = frame;
    if (this.#sent.get(firstRseq)?.digest === digest) return;
    this.#sent.set(firstRseq, { digest, atMs: this.#world.scheduler.nowMs });
  }

  sawReceived(frame: ControlToRunnerFrame): void {
    const { truth } = this.#world;
    if (frame.type === 'ack') {
      truth.acked(this, frame.ackedRseq);
      this.#provenAtMs = Math.max(this.#provenFinite, this.#sent.get(frame.firstRseq)?.atMs ?? 0);
    }
    if (frame.type === 'welcome') for (const { ackedRseq } of frame.sessions) truth.acked(this, ackedRseq);
    if (frame.type === 'assign') this.#provenAtMs = this.#world.scheduler.nowMs;
  }

  journaled(event: EventEnvelope): void {
    this.#world.truth.journaled(this, event);
  }

  get #provenFinite(): number {
    return Number.isFinite(this.#provenAtMs) ? this.#provenAtMs : 0;
  }

  #startProcess(): void {
    // An answer comes on the line of the process that sent.
    this.#sent.clear();
    this.#process = new SimRunner(this.#world, this, this.#token);
    this.#process.start();
  }

  #kill(): void {
    const process = this.#process;
    this.#process = null;
    if (process === null) return;
    process.stop();
    this.#world.gateway.processEnded(process);
  }

  #exit(exitCode: number): void {
    if (!this.#isAlive) return;
    this.destroy();
    this.#onExit(exitCode);
  }
}
