/** One program under a PTY: what starts it, feeds it, and stops reading it while its output is not acknowledged. */
import nodePty, { type Pty } from 'node-pty';
import type { Clock, Random } from '../../../shared/clock.ts';
import { PTY_INPUT_QUEUE_MAX_BYTES, PTY_LANES_MAX, PTY_UNACKED_MAX_BYTES } from '../../../shared/limits.ts';
import type { Yielding } from './echo-yield.ts';
import { type ListedProcess, PtyError, type SpawnSpec } from './messages.ts';
import { type ExitReport, type OutputPump, type OutputSink, outputPump } from './output-pump.ts';
import { SESSION_MARK_VARIABLE, type SessionRoot, sessionRoot } from './session-processes.ts';
import { guardTail, type TailGuard } from './tail-guard.ts';

const MARK_BYTES = 16;
const CTRL_Z = 0x1a;
const DEFAULT_TERM = 'xterm-256color';

export interface HostedProcess extends Yielding {
  readonly root: SessionRoot;
  readonly exit: ExitReport | undefined;
  frozen: boolean;
  /** While it is frozen: what the person had stopped before. */
  stoppedBefore: ReadonlySet<number>;
  /** The thaw of a moment ago: what stops now may do so because of it. */
  settling: symbol | undefined;
  describe(): ListedProcess;
  /** Sends everything from `fromOffset` on to `sink`, then what follows. Throws PtyError offset_gone. */
  attach(sink: OutputSink, fromOffset: number): void;
  /** Stops sending if `sink` is the one attached; output then waits. */
  detach(sink: OutputSink): void;
  ack(offset: number): void;
  /** Throws PtyError input_full when the program does not read its input, exited when it is gone. */
  write(bytes: Buffer): void;
  /** Like `write`, unless this or a higher number was written under the lane: a restarted runner repeats what it cannot know. */
  type(text: string, lane: string, number: number): void;
  resize(cols: number, rows: number): void;
}

const startPty = (spec: SpawnSpec, mark: string): Pty => {
  try {
    return nodePty.spawn(spec.file, spec.args, {
      cols: spec.cols,
      rows: spec.rows,
      cwd: spec.cwd,
      env: { ...spec.env, [SESSION_MARK_VARIABLE]: mark },
      name: spec.env.TERM ?? DEFAULT_TERM,
      encoding: null,
      ...(spec.uid === undefined ? {} : { uid: spec.uid, gid: spec.gid ?? spec.uid }),
    });
  } catch (error) {
    throw new PtyError('spawn_failed', error instanceof Error ? error.message : String(error));
  }
};

/** Returns what to call whenever the amount of unacknowledged output changed, or whether it stands still. */
const flowControl = (pty: Pty, pump: OutputPump, tail: TailGuard): ((isStill?: boolean) => void) => {
  let isFull = false;
  let isStill = false;
  let isPaused = false;
  return (nextStill = isStill) => {
    isStill = nextStill;
    isFull = pump.buffer.sizeBytes >= (isFull ? PTY_UNACKED_MAX_BYTES / 2 + 1 : PTY_UNACKED_MAX_BYTES);
    if (isPaused === (isFull || isStill)) return;
    isPaused = !isPaused;
    if (isPaused) {
      pty._socket.pause();
      tail.paused();
    } else {
      pty._socket.resume();
      tail.resumed();
    }
  };
};

/** Starts the program; throws PtyError spawn_failed. A file that cannot be executed shows as an exit instead. */
export const hostProcess = (spec: SpawnSpec, handle: number, clock: Clock, random: Random): HostedProcess => {
  const mark = random.hex(MARK_BYTES);
  const pty = startPty(spec, mark);
  const root = sessionRoot(mark, pty.pid);
  const tail = guardTail(pty, clock);
  const pump = outputPump(handle, clock);
  const regulate = flowControl(pty, pump, tail);
  const lanes = new Map<string, number>();
  let exit: ExitReport | undefined;
  const isOver = (): boolean => exit !== undefined || pty._socket.destroyed;

  pty.onData((bytes) => {
    tail.sawBytes(bytes.length);
    pump.push(bytes);
    regulate();
  });
  pty.onExit(({ exitCode, signal }) => {
    tail.close();
    exit = { exitCode, signal: signal || null, endOffset: pump.buffer.endOffset };
    pump.end(exit);
  });

  return {
    handle,
    root,
    frozen: false,
    stoppedBefore: new Set(),
    settling: undefined,
    get exit() {
      return exit;
    },
    describe() {
      const { startOffset: ackedOffset, endOffset } = pump.buffer;
      return {
        id: spec.id,
        handle,
        pid: pty.pid,
        mark,
        ackedOffset,
        endOffset,
        frozen: this.frozen,
        exited: exit !== undefined,
        lanes: [...lanes],
      };
    },
    get isFlooding() {
      return !tail.isEnding && exit === undefined && pump.isFlooding;
    },
    standStill() {
      pump.standStill(true);
      regulate(true);
    },
    goOn() {
      regulate(false);
      pump.standStill(false);
    },
    attach: pump.attach,
    detach: pump.detach,
    ack(offset) {
      pump.ack(offset);
      regulate();
    },
    write(bytes) {
      if (isOver()) throw new PtyError('exited', 'the program has ended');
      if (pty._socket.writableLength + bytes.length > PTY_INPUT_QUEUE_MAX_BYTES)
        throw new PtyError('input_full', 'the program does not read its input');
      pump.noteInput();
      // What stops now was stopped by the person, and is not sent on as what a thaw had stopped.
      if (bytes.includes(CTRL_Z)) this.settling = undefined;
      pty._socket.write(bytes);
    },
    type(text, lane, number) {
      if (number <= (lanes.get(lane) ?? 0)) return;
      this.write(Buffer.from(text));
      lanes.delete(lane);
      lanes.set(lane, number);
      const oldest = lanes.keys().next().value;
      if (lanes.size > PTY_LANES_MAX && oldest !== undefined) lanes.delete(oldest);
    },
    resize(cols, rows) {
      if (!isOver()) pty.resize(cols, rows);
    },
  };
};
