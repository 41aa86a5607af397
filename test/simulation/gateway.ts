/** The WebSocket API between runners and the control plane: one invocation per frame, no order, lines that end without a word. */
import { handleRunnerFrame, type RunnerConnection } from '../../functions/runners/handle-runner-frame.ts';
import { exchangeCredential } from '../../functions/runners/runner-credentials.ts';
import { runnerDisconnected } from '../../functions/runners/runner-disconnected.ts';
import type { ConnectionCloser, ConnectionSender } from '../../functions/sessions/ports.ts';
import type { OpenSocket, SocketEvents } from '../../runner-image/src/transport/socket.ts';
import { AppError } from '../../shared/errors.ts';
import { type ControlToRunnerFrame, RunnerFrame } from '../../shared/frames.ts';
import { FRAME_MAX_BYTES } from '../../shared/limits.ts';
import type { RunnerPrincipal } from '../../shared/runner-credential.ts';
import type { Chance } from './chance.ts';
import type { ControlPlane, Reach } from './control-plane.ts';
import type { Faults } from './faults.ts';
import type { LinePlant, Plant } from './plant.ts';
import type { Owner, Scheduler } from './scheduler.ts';

/** The machine a line ends on. */
export interface Machine {
  partitionUntilMs: number;
  /** Whether the partition has met anything yet. */
  isPartitionMet: boolean;
}

export interface LineOwner extends Owner {
  readonly machine: Machine;
  /** Runs what came in; a failure in it ends the process. */
  readonly enter: (run: () => void) => void;
  readonly die: () => void;
  readonly linePlant: LinePlant | null;
}

interface Line {
  readonly connectionId: string;
  readonly who: RunnerConnection;
  readonly owner: LineOwner;
  readonly events: SocketEvents;
  isOpen: boolean;
  /** Frames of each direction, to see which overtook which. */
  sent: { up: number; down: number };
  arrived: { up: number; down: number };
}

export interface GatewayOptions {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly control: () => ControlPlane;
  readonly plant: Plant;
}

const HANDSHAKE_TIMEOUT_MS = 20_000;
const PARTITIONS_MS = [15_000, 120_000, 400_000, 400_000] as const;
/** Longer than any runner waits for its lease. */
const LONG_PARTITION_MS = 20 * 60_000;
const HELLO = '{"type":"hello"';
/** Twins of a frame come so late. */
const REPEATED_MS = 30_000;
const INTERNAL_ERROR = JSON.stringify({ message: 'Internal server error', connectionId: 'x', requestId: 'y' });

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #lines = new Map<string, Line>();
  #made = 0;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /** Dials for one process. */
  opener(owner: LineOwner): OpenSocket {
    return (ticket, events) => {
      let line: Line | null = null;
      let isGivenUp = false;
      const { scheduler } = this.#options;
      const closed = (status: number | null, message: string) =>
        scheduler.after(this.#travelMs(), () => owner.enter(() => events.onClosed({ status, message })), owner);
      const dial = async (): Promise<void> => {
        await scheduler.pause(this.#travelMs(), owner);
        if (isGivenUp) return;
        if (this.#isCut(owner.machine)) {
          scheduler.after(HANDSHAKE_TIMEOUT_MS, () => closed(null, 'no answer'), owner);
          return;
        }
        const { credential, nextCredentialSha256 } = ticket;
        const outcome = await this.#options
          .control()
          .invoke((ports) => exchangeCredential(ports, credential, nextCredentialSha256));
        if (outcome.kind !== 'done') closed(500, 'the authorizer failed');
        else if (outcome.value === null) closed(403, 'refused');
        else if (this.#isCut(owner.machine))
          scheduler.after(HANDSHAKE_TIMEOUT_MS, () => closed(null, 'no answer'), owner);
        else if (!isGivenUp) line = this.#open(owner, events, outcome.value);
      };
      void dial();
      return {
        send: (text, onSent) => {
          if (line === null || !owner.isAlive) return;
          this.#fromRunner(line, text);
          scheduler.after(1, () => owner.enter(onSent), owner);
        },
        bufferedBytes: 0,
        close: () => {
          isGivenUp = true;
          if (line !== null && owner.isAlive) this.#close(line, 'closed by the runner');
        },
        terminate: () => {
          isGivenUp = true;
          if (!owner.isAlive) return;
          if (line !== null) this.#close(line, 'terminated');
          else closed(null, 'terminated');
        },
      };
    };
  }

  sender(reach: Reach): ConnectionSender<ControlToRunnerFrame> {
    const { faults } = this.#options;
    return {
      post: (connectionId, frame) =>
        reach(() => {
          const line = this.#lines.get(connectionId);
          if (line === undefined || !line.isOpen) return 'gone';
          if (faults.strikes('post_refused')) return 'slow';
          // What the gateway took is lost only with its line.
          if (faults.strikes('drop')) this.#close(line, 'cut');
          else if (frame.type === 'assign') this.#assign(line, JSON.stringify(frame));
          else this.#toRunner(line, JSON.stringify(frame));
          return 'sent';
        }),
    };
  }

  closer(reach: Reach): ConnectionCloser {
    return {
      close: (connectionId) =>
        reach(() => {
          const line = this.#lines.get(connectionId);
          if (line !== undefined) this.#close(line, 'closed by the control plane');
        }),
    };
  }

  #assign(line: Line, text: string): void {
    const { faults, scheduler, chance } = this.#options;
    if (faults.strikes('assign_lost')) {
      this.#close(line, 'cut');
      return;
    }
    this.#toRunner(line, text);
    // Told once more by somebody who does not know that it was told.
    if (faults.strikes('assign_repeated'))
      scheduler.after(chance.between(1, REPEATED_MS), () => this.#toRunner(line, text));
  }

  /** The process is gone: its machine closes what it had open. */
  processEnded(owner: LineOwner): void {
    for (const line of this.#lines.values()) if (line.owner === owner) this.#close(line, 'process ended');
  }

  #open(owner: LineOwner, events: SocketEvents, scope: RunnerPrincipal): Line {
    this.#made += 1;
    const connectionId = `c${this.#made}`;
    const none = () => ({ up: 0, down: 0 });
    const line: Line = {
      ...{ connectionId, owner, events, isOpen: true },
      who: { ...scope, connectionId },
      sent: none(),
      arrived: none(),
    };
    this.#lines.set(connectionId, line);
    this.#options.scheduler.after(this.#travelMs(), () => owner.enter(() => line.isOpen && events.onOpen()), owner);
    return line;
  }

  #fromRunner(line: Line, text: string): void {
    const { faults, chance, scheduler } = this.#options;
    const { owner } = line;
    owner.linePlant?.fromRunner(text);
    if (!line.isOpen) return;
    if (faults.strikes('cut')) this.#close(line, 'cut');
    else if (!this.#isBlocked(owner.machine) && !faults.strikes('drop')) {
      const copies = faults.strikes('duplicate') ? 2 : 1;
      for (let copy = 0; copy < copies; copy += 1) {
        line.sent.up += 1;
        this.#arrive(line, 'up', line.sent.up, () => void this.#handle(line, text));
      }
      if (text.startsWith(HELLO) && faults.strikes('hello_repeated'))
        scheduler.after(chance.between(1, REPEATED_MS), () => void this.#handle(line, text));
    }
    if (faults.draws('runner_crash') && chance.is(0.5)) {
      faults.met('runner_crash');
      owner.die();
    }
  }

  async #handle(line: Line, text: string): Promise<void> {
    const { control, plant } = this.#options;
    if (Buffer.byteLength(text) > FRAME_MAX_BYTES) return this.#close(line, 'frame too large');
    const frame = RunnerFrame.parse(JSON.parse(text));
    const handle = plant.handleRunner?.(handleRunnerFrame) ?? handleRunnerFrame;
    const outcome = await control().invoke((ports) => handle(ports, line.who, frame));
    if (outcome.kind === 'done') {
      if (outcome.value !== null) this.#toRunner(line, JSON.stringify(outcome.value));
    } else if (outcome.kind === 'failed' && outcome.error instanceof AppError) {
      const { code, message } = outcome.error;
      this.#toRunner(line, JSON.stringify({ type: 'error', code, message, requestId: 'r' }));
    } else this.#toRunner(line, INTERNAL_ERROR);
  }

  #toRunner(line: Line, text: string): void {
    const { owner, events } = line;
    if (this.#isBlocked(owner.machine) || !line.isOpen) return;
    if (this.#options.faults.strikes('drop')) return;
    line.sent.down += 1;
    this.#arrive(line, 'down', line.sent.down, () => {
      if (!line.isOpen || !owner.isAlive) return;
      const seen = owner.linePlant?.toRunner(text) ?? text;
      owner.enter(() => events.onText(seen));
    });
  }

  #arrive(line: Line, way: 'up' | 'down', number: number, run: () => void): void {
    const { scheduler, chance, faults } = this.#options;
    const heldMs = faults.holdsBack ? chance.between(20, chance.is(0.2) ? 15_000 : 1_500) : 0;
    scheduler.after(this.#travelMs() + heldMs, () => {
      if (faults.isOn && line.arrived[way] > number) faults.met('reorder');
      line.arrived[way] = Math.max(line.arrived[way], number);
      run();
    });
  }

  #close(line: Line, message: string): void {
    if (!line.isOpen) return;
    line.isOpen = false;
    const { scheduler, chance, control } = this.#options;
    const { owner, events, who } = line;
    scheduler.after(this.#travelMs(), () => owner.enter(() => events.onClosed({ status: null, message })), owner);
    scheduler.after(chance.between(1, 3_000), () => {
      this.#lines.delete(line.connectionId);
      // Best effort: it does not always come.
      if (chance.is(0.15)) return;
      void control().invoke((ports) => runnerDisconnected(ports, who));
    });
  }

  #isCut(machine: Machine): boolean {
    const isCut = this.#options.faults.isOn && machine.partitionUntilMs > this.#options.scheduler.nowMs;
    if (isCut && !machine.isPartitionMet) {
      machine.isPartitionMet = true;
      this.#options.faults.met('partition');
    }
    return isCut;
  }

  /** May also begin one. */
  #isBlocked(machine: Machine): boolean {
    const { faults, chance, scheduler } = this.#options;
    if (faults.draws('partition') && machine.partitionUntilMs <= scheduler.nowMs) {
      const lastsMs = chance.is(0.05) ? LONG_PARTITION_MS : chance.between(1_000, chance.pick(PARTITIONS_MS));
      machine.partitionUntilMs = scheduler.nowMs + lastsMs;
      machine.isPartitionMet = false;
    }
    return this.#isCut(machine);
  }

  #travelMs(): number {
    const { chance } = this.#options;
    return chance.is(0.97) ? chance.between(1, 40) : chance.between(40, 900);
  }
}
