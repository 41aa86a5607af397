/**
 * The customer's own machines and who looks after them: runners are registered and started, drained, revoked and replaced, their machines
 * restart and are lost, and all of that while everything else goes wrong.
 */
import { drainRunner, revokeRunner } from '../../functions/runners/end-runner.ts';
import { registerRunner } from '../../functions/runners/register-runner.ts';
import { NO_RESTART_EXIT_CODE } from '../../runner-image/src/pty-host/restart-policy.ts';
import { RegisterRunnerBody } from '../../shared/http.ts';
import type { Chance } from './chance.ts';
import type { ControlPlane, Outcome } from './control-plane.ts';
import { TENANT } from './people.ts';
import type { Scheduler } from './scheduler.ts';
import { SimGround } from './sim-ground.ts';
import { type HostWorld, SimHost } from './sim-host.ts';

export const GROUP = 'lab';
const USER = 'ops';

interface OwnMachine {
  readonly runnerId: string;
  readonly token: string;
  readonly capacity: number;
  readonly ground: SimGround;
  host: SimHost | null;
  /** Nobody starts it again. */
  isGone: boolean;
  isRevoked: boolean;
}

export interface OwnMachinesOptions {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly control: ControlPlane;
  readonly world: HostWorld;
  readonly onHost: (host: SimHost) => void;
}

const RESTART_MS = { from: 1_000, to: 60_000 };
/** Long enough for the stream to be first. */
const INSIST_MAX_MS = 60_000;
const CARE_MS = { from: 20_000, to: 150_000 };

export class OwnMachines {
  readonly #options: OwnMachinesOptions;
  readonly #machines: OwnMachine[] = [];
  readonly counts = { registered: 0, drained: 0, revoked: 0 };
  #isOver = false;

  constructor(options: OwnMachinesOptions) {
    this.#options = options;
  }

  /** Of machines that run now. */
  get hosts(): readonly SimHost[] {
    return this.#machines.flatMap(({ host }) => host ?? []);
  }

  isRevoked(host: SimHost): boolean {
    return this.#machines.some((machine) => machine.host === host && machine.isRevoked);
  }

  /** Registers `count` runners and looks after them until `rest`. */
  begin(count: number): void {
    for (let number = 0; number < count; number += 1) void this.#add();
    this.#careLater();
  }

  /** From here on nothing is taken away any more; what stands still is started. */
  rest(): void {
    this.#isOver = true;
    for (const machine of this.#machines) if (machine.host === null && !machine.isGone) this.#start(machine);
    if (this.#machines.every(({ isGone, isRevoked }) => isGone || isRevoked)) void this.#add();
  }

  /** Revokes one of several, in calm weather. */
  revokeOne(): void {
    const serving = this.#machines.filter(({ isGone, isRevoked }) => !isGone && !isRevoked);
    const [first] = serving;
    if (serving.length > 1 && first !== undefined) void this.#revoke(first);
  }

  /** The machine that a runner is on is lost, with its disk. */
  lose(host: SimHost): void {
    const machine = this.#machines.find((one) => one.host === host);
    host.destroy();
    if (machine === undefined) return;
    machine.host = null;
    machine.isGone = true;
    this.#later(() => this.#add());
  }

  #careLater(): void {
    const { scheduler, chance } = this.#options;
    scheduler.after(chance.between(CARE_MS.from, CARE_MS.to), () => {
      if (this.#isOver) return;
      this.#care();
      this.#careLater();
    });
  }

  #care(): void {
    const { chance } = this.#options;
    const standing = this.#machines.filter(({ isGone, isRevoked }) => !isGone && !isRevoked);
    const [first, ...others] = standing;
    if (first === undefined) return;
    const machine = chance.pick([first, ...others]);
    const draw = chance.next();
    if (draw < 0.4) void this.#drain(machine);
    else if (draw < 0.75) void this.#revoke(machine);
    // SIGTERM: an update of the machine, or of what runs on it.
    else machine.host?.terminate();
  }

  async #add(): Promise<void> {
    const { chance, control } = this.#options;
    const number = this.#machines.length + this.counts.registered;
    const capacity = chance.int(1, 3);
    const body = RegisterRunnerBody.parse({ group: GROUP, maxSessions: capacity });
    const registrar = { tenantId: TENANT, userId: USER, idempotencyKey: `machine-${number}-${chance.hex(4)}` };
    const registered = await this.#insist(() => control.invoke((ports) => registerRunner(ports, registrar, body)));
    this.counts.registered += 1;
    const { runnerId, token } = registered;
    const ground = new SimGround(this.#options.world);
    const machine = { ...{ runnerId, token, capacity, ground }, host: null, isGone: false, isRevoked: false };
    this.#machines.push(machine);
    this.#start(machine);
  }

  async #drain(machine: OwnMachine): Promise<void> {
    const { control } = this.#options;
    const ref = { tenantId: TENANT, runnerId: machine.runnerId };
    const outcome = await control.invoke((ports) => drainRunner(ports, ref));
    if (outcome.kind === 'done') this.counts.drained += 1;
  }

  async #revoke(machine: OwnMachine): Promise<void> {
    const { chance, control } = this.#options;
    const ref = { tenantId: TENANT, runnerId: machine.runnerId };
    machine.isRevoked = true;
    this.counts.revoked += 1;
    const ask = () => control.invoke((ports) => revokeRunner(ports, ref));
    // Twice at once, too.
    if (chance.is(0.3)) void ask();
    await this.#insist(ask);
    void this.#add();
  }

  async #insist<T>(run: () => Promise<Outcome<T>>): Promise<T> {
    const { scheduler, chance } = this.#options;
    for (;;) {
      const outcome = await run();
      if (outcome.kind === 'done') return outcome.value;
      await scheduler.pause(chance.between(500, INSIST_MAX_MS));
    }
  }

  #start(machine: OwnMachine): void {
    const { world, onHost } = this.#options;
    const { token, capacity, ground } = machine;
    if (machine.host !== null) return;
    const host: SimHost = new SimHost(world, {
      ...{ token, capacity, ground },
      onLost: () => this.lose(host),
      onExit: (exitCode) => this.#exited(machine, host, exitCode),
    });
    machine.host = host;
    onHost(host);
    host.start();
  }

  /** What keeps it running starts it again, unless it was told that it may not serve: then once in a while all the same. */
  #exited(machine: OwnMachine, host: SimHost, exitCode: number): void {
    if (machine.host === host) machine.host = null;
    const isRefused = exitCode === NO_RESTART_EXIT_CODE;
    if (isRefused && !machine.isRevoked) this.#options.world.truth.lockedOut(machine.runnerId);
    if (isRefused && !this.#options.chance.is(0.3)) machine.isGone = true;
    else this.#later(() => this.#start(machine));
  }

  #later(run: () => unknown): void {
    const { scheduler, chance } = this.#options;
    scheduler.after(chance.between(RESTART_MS.from, RESTART_MS.to), () => void run());
  }
}
