/** Input frames on their way into the terminal: ordered, typed without a detour, answered visibly. */
import type { Clock } from '../../../shared/clock.ts';
import type { EventDraft } from '../../../shared/events.ts';
import type { RunnerFrame } from '../../../shared/frames.ts';
import type { Log } from '../log.ts';
import { type Control, type InputFrame, InputOrder, type InputOutcome, type InputReply } from './input-order.ts';
import { isOnlyReports } from './terminal-reports.ts';

/** What can be typed into; absent while there is no CLI. */
export interface Keyboard {
  type(data: string): Promise<void>;
  /** Types it as a prompt, in the way of the CLI; says why it was not taken. */
  submit(text: string): Promise<{ readonly kind: 'sent' } | { readonly kind: 'refused'; readonly reason: string }>;
}

export interface TypingOptions {
  readonly sessionId: string;
  readonly epoch: number;
  readonly capability: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly send: (frame: string) => void;
  readonly record: (draft: EventDraft) => void;
  /** Called for each frame that a person typed, right after it was handed to the terminal. */
  readonly onTyped: (frame: InputFrame) => void;
}

/** Keystrokes within this time make one `input_received`. */
const GATHER_MS = 5_000;
/**
 * An acknowledgement says up to where: it follows the echo instead of going before it on the same line, and one serves a burst of keys.
 * A viewer sends again after 400 ms at the earliest.
 */
const ACK_AFTER_MS = 25;

export class Typing {
  readonly #options: TypingOptions;
  readonly #order = new InputOrder();
  readonly #gathered = new Map<string, { source: 'viewer' | 'api'; sizeBytes: number }>();
  /** The latest of each viewer and term. */
  readonly #acks = new Map<string, InputReply & { kind: 'ack' }>();
  #keyboard: Keyboard | null = null;
  #cancelExpiry: (() => void) | null = null;
  #cancelGather: (() => void) | null = null;
  #cancelAcks: (() => void) | null = null;

  constructor(options: TypingOptions) {
    this.#options = options;
  }

  get control(): Control {
    return this.#order.control;
  }

  /** `null`: input is refused from here on. */
  setKeyboard(keyboard: Keyboard | null): void {
    this.#keyboard = keyboard;
  }

  setControl(control: Control): void {
    this.#perform(this.#order.setControl(control));
  }

  onInput(frame: InputFrame): void {
    this.#perform(this.#order.offer(frame, this.#options.clock.monotonicMs(), this.#keyboard !== null));
  }

  /** Records what was typed and not told yet. */
  end(): void {
    this.#keyboard = null;
    this.#cancelExpiry?.();
    this.#sendAcks();
    this.#tellGathered();
  }

  #perform({ deliver, replies }: InputOutcome): void {
    for (const frame of deliver) this.#type(frame);
    for (const reply of replies) {
      if (reply.kind === 'ack') this.#ackLater(reply);
      else {
        // In the order they were decided: what a reset follows was delivered.
        this.#sendAcks();
        this.#reply(reply);
      }
    }
    this.#armExpiry();
  }

  #type(frame: InputFrame): void {
    const keyboard = this.#keyboard;
    if (!keyboard) return;
    if (frame.submit === true) void this.#submit(keyboard, frame);
    // The acknowledgement says that it is in order and on its way; a terminal that takes nothing more is told below.
    else keyboard.type(frame.data).catch((error: unknown) => this.#failed(frame, error));
    if (frame.submit !== true && isOnlyReports(frame.data)) return;
    this.#options.onTyped(frame);
    this.#gather(frame);
  }

  async #submit(keyboard: Keyboard, frame: InputFrame): Promise<void> {
    try {
      const result = await keyboard.submit(frame.data);
      if (result.kind === 'refused') this.#failed(frame, result.reason);
    } catch (error) {
      this.#failed(frame, error);
    }
  }

  #failed(frame: InputFrame, error: unknown): void {
    const { record, log } = this.#options;
    log.warn('input could not be typed', { viewerId: frame.viewerId, error });
    const message = error instanceof Error ? error.message : String(error);
    record({ type: 'alert_raised', code: 'input_lost', message: `Input was not taken: ${message}`.slice(0, 1_000) });
  }

  #ackLater(ack: InputReply & { kind: 'ack' }): void {
    this.#acks.set(`${ack.viewerId} ${ack.controlTerm}`, ack);
    this.#cancelAcks ??= this.#options.clock.after(ACK_AFTER_MS, () => this.#sendAcks());
  }

  #sendAcks(): void {
    this.#cancelAcks?.();
    this.#cancelAcks = null;
    for (const ack of this.#acks.values()) this.#reply(ack);
    this.#acks.clear();
  }

  #reply(reply: InputReply): void {
    const { capability, sessionId, epoch, send } = this.#options;
    const { viewerId, controlTerm } = reply;
    const base = { capability, sessionId, epoch, viewerId, controlTerm };
    const frame: RunnerFrame =
      reply.kind === 'ack'
        ? { type: 'input_ack', ...base, inputSeq: reply.inputSeq }
        : { type: 'input_reset', ...base, expected: reply.expected, reason: reply.reason };
    send(JSON.stringify(frame));
  }

  #armExpiry(): void {
    this.#cancelExpiry?.();
    this.#cancelExpiry = null;
    const atMs = this.#order.nextExpiryMs();
    if (atMs === null) return;
    const { clock } = this.#options;
    this.#cancelExpiry = clock.after(Math.max(1, atMs - clock.monotonicMs()), () =>
      this.#perform(this.#order.expire(clock.monotonicMs())),
    );
  }

  #gather({ viewerId, source, data }: InputFrame): void {
    const before = this.#gathered.get(viewerId)?.sizeBytes ?? 0;
    this.#gathered.set(viewerId, { source, sizeBytes: before + Buffer.byteLength(data) });
    this.#cancelGather ??= this.#options.clock.after(GATHER_MS, () => this.#tellGathered());
  }

  #tellGathered(): void {
    this.#cancelGather?.();
    this.#cancelGather = null;
    for (const [viewerId, { source, sizeBytes }] of this.#gathered)
      this.#options.record({ type: 'input_received', viewerId, sizeBytes, source });
    this.#gathered.clear();
  }
}
