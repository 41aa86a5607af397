/** The terminal side of a viewer's stream: an exact terminal, asked for again where it is not, and a sink too slow for it. */
import type { ControlToViewerFrame, FrameOf } from '../frames.ts';
import { VIEWER_WRITE_QUEUE_MAX_CHARS } from '../limits.ts';
import type { StreamAddress } from '../session.ts';
import type { Drawing } from './drawing.ts';
import { type TerminalAction, TerminalAssembler } from './terminal-assembler.ts';

/** What shows the stream, in order. `clear` drops what was not drawn yet; beyond a cap of `pendingChars` it is called. */
export interface TerminalSink {
  apply(actions: readonly Drawing[]): void;
  clear(): void;
  pendingChars(): number;
}

export interface StreamTerminalPorts {
  readonly sink: TerminalSink;
  /** Asks for what follows `from`; without an address for a snapshot. */
  readonly reattach: (from: StreamAddress | undefined) => void;
  readonly onBehind: (behind: boolean) => void;
}

export class StreamTerminal {
  readonly #ports: StreamTerminalPorts;
  readonly #assembler = new TerminalAssembler();
  #wasBehind = false;

  constructor(ports: StreamTerminalPorts) {
    this.#ports = ports;
  }

  get address(): StreamAddress | undefined {
    return this.#assembler.address;
  }
  /** Bytes are known to be missing. */
  get behind(): boolean {
    return this.#assembler.behind;
  }

  output(frame: Parameters<TerminalAssembler['output']>[0], nowMs: number): void {
    this.#perform(this.#assembler.output(frame, nowMs));
  }

  snapshot(frame: FrameOf<ControlToViewerFrame, 'terminal_snapshot'>, nowMs: number): void {
    this.#perform(this.#assembler.snapshot(frame, nowMs));
  }

  /** The stream's end, as the runner or the control plane knows it. */
  head({ epoch, offset }: StreamAddress, nowMs: number): void {
    this.#perform(this.#assembler.head({ epoch, offset }, nowMs));
  }

  tick(nowMs: number): void {
    this.#perform(this.#assembler.tick(nowMs));
  }

  /** What is stored has been drawn up to `address`. */
  rebase(address: StreamAddress): void {
    this.#assembler.rebase(address);
    this.#tellBehind();
  }

  #perform(actions: readonly TerminalAction[]): void {
    // Together: a reset is drawn in one go with what follows it.
    const drawings = actions.filter((action) => action.kind !== 'reattach');
    if (drawings.length > 0) this.#ports.sink.apply(drawings);
    for (const action of actions) if (action.kind === 'reattach') this.#ports.reattach(action.from);
    if (this.#ports.sink.pendingChars() > VIEWER_WRITE_QUEUE_MAX_CHARS) {
      // Too slow to draw it all: the screen as it is now serves a person better than a growing queue.
      this.#ports.sink.clear();
      this.#assembler.forget();
      this.#ports.reattach(undefined);
    }
    this.#tellBehind();
  }

  #tellBehind(): void {
    if (this.#assembler.behind === this.#wasBehind) return;
    this.#wasBehind = this.#assembler.behind;
    this.#ports.onBehind(this.#wasBehind);
  }
}
