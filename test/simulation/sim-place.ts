/** One life of a session on a machine: its CLI under pty-host, its terminal, and the proof of its lease as the wire showed it. */
import type { Freezable } from '../../runner-image/src/session/freezer.ts';
import type { EventEnvelope } from '../../shared/events.ts';
import { LATE_ANSWER_MS, LEASE_MS } from '../../shared/limits.ts';
import type { Owner } from './scheduler.ts';
import type { HostWorld } from './sim-host.ts';

export interface Cli {
  readonly epoch: number;
  readonly workPlanned: number;
  readonly endsWhenDone: boolean;
  worked: number;
  isFrozen: boolean;
  isDead: boolean;
}

/** What a place needs of the machine it is on, whichever process and container runs there now. */
export interface PlaceMachine {
  /** The runner process that runs. */
  readonly process: Owner | null;
  /** The clock of the machine is set to another time. */
  skew(): void;
  /** A CLI of this machine works just now. */
  worked(place: SimPlace): void;
}

/** Looking and freezing take their time after the lease ran out. */
const LEASE_SLACK_MS = 20_000;

export class SimPlace {
  readonly sessionId: string;
  readonly epoch: number;
  readonly #world: HostWorld;
  readonly #machine: () => PlaceMachine;
  #cli: Cli | null = null;
  #offset = 0;
  /** When the batch that was acknowledged last was first sent, as the wire showed it. */
  #provenAtMs: number;
  /** Its runner was told that this life is over, and when it was answered last. */
  #isToldOver = false;
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  readonly #sent = new Map<number, { readonly digest: string; readonly atMs: number }>();

  constructor(
    world: HostWorld,
    { sessionId, epoch }: { sessionId: string; epoch: number },
    machine: () => PlaceMachine,
  ) {
    this.#world = world;
    this.sessionId = sessionId;
    this.epoch = epoch;
    this.#machine = machine;
    this.#provenAtMs = world.scheduler.nowMs;
  }

  get cli(): Cli | null {
    return this.#cli;
  }

  /** Something of it runs, and is not held. */
  get isWorking(): boolean {
    return this.#cli !== null && !this.#cli.isDead && !this.#cli.isFrozen;
  }

  /** Bytes of terminal on the spool. */
  get offset(): number {
    return this.#offset;
  }

  startCli(): Cli {
    const { chance } = this.#world;
    this.#cli = {
      epoch: this.epoch,
      workPlanned: chance.int(3, 40),
      endsWhenDone: chance.is(0.7),
      ...{ worked: 0, isFrozen: false, isDead: false },
    };
    return this.#cli;
  }

  killCli(): void {
    if (this.#machine().process?.isAlive === true) this.cliDied();
  }

  /** With its machine, or with what runs its terminal. */
  cliDied(): void {
    if (this.#cli) this.#cli.isDead = true;
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
    if (this.#machine().process?.isAlive === true) this.#offset += sizeBytes;
  }

  skew(): void {
    this.#machine().skew();
  }

  /** Waits as the running process: forgotten when it crashes. */
  pause(delayMs: number): Promise<void> {
    return this.#world.scheduler.pause(delayMs, this.#machine().process);
  }

  /** A CLI that works is one whose runner can show a recent acknowledgement. */
  noteWork(): void {
    const { scheduler, truth } = this.#world;
    const lateMs = scheduler.nowMs - (this.#provenAtMs + LEASE_MS);
    if (lateMs > LEASE_SLACK_MS) truth.workedWithoutLease(this, lateMs);
    this.#machine().worked(this);
  }

  /** Given to the runner, for the first time or since it had not kept it: as good as an acknowledgement. */
  assigned(): void {
    this.#provenAtMs = this.#world.scheduler.nowMs;
  }

  /** An answer comes on the line of the process that sent. */
  processStarted(): void {
    this.#sent.clear();
  }

  /** The wire between process and gateway, as it was seen from outside. */
  sawBatch({ firstRseq, digest }: { firstRseq: number; digest: string }): void {
    this.#world.truth.known(this);
    // An empty batch has the number of the events that follow it.
    if (this.#sent.get(firstRseq)?.digest === digest) return;
    this.#sent.set(firstRseq, { digest, atMs: this.#world.scheduler.nowMs });
  }

  sawAck({ firstRseq, ackedRseq }: { firstRseq: number; ackedRseq: number }): void {
    this.#answeredAtMs = this.#world.scheduler.nowMs;
    this.#world.truth.acked(this, ackedRseq);
    this.#provenAtMs = Math.max(this.#provenAtMs, this.#sent.get(firstRseq)?.atMs ?? 0);
  }

  sawNack({ reason }: { reason: string }): void {
    this.#answeredAtMs = this.#world.scheduler.nowMs;
    this.#isToldOver ||= reason === 'closed' || reason === 'stale_epoch';
  }

  sawWelcome({ ackedRseq, open }: { ackedRseq: number; open: boolean }): void {
    this.#world.truth.acked(this, ackedRseq);
    this.#answeredAtMs = this.#world.scheduler.nowMs;
    this.#isToldOver ||= !open;
  }

  /** Whoever hears that this life is over, and is answered, tells all it has before it goes: nothing of it may be lost with its disk. */
  get mustTellAll(): boolean {
    return this.#isToldOver && this.#world.scheduler.nowMs - this.#answeredAtMs < LATE_ANSWER_MS;
  }

  journaled(event: EventEnvelope): void {
    this.#world.truth.journaled(this, event);
  }
}
