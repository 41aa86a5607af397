/** Input frames on their way into the terminal: ordered, typed without a detour, answered visibly. */
import type { Clock } from '../../../shared/clock.ts';
import type { EventDraft } from '../../../shared/events.ts';
import type { RunnerFrame } from '../../../shared/frames.ts';
import { INPUT_MAX_HELD_FRAMES } from '../../../shared/limits.ts';
import type { WriteOnce } from '../adapters/contract.ts';
import type { Log } from '../log.ts';
import { ApiInput, type ApiRefusal, type SavedApiInput } from './api-input.ts';
import {
  type Control,
  type InputFrame,
  InputOrder,
  type InputOutcome,
  type InputReply,
  type SavedLane,
} from './input-order.ts';
import { isOnlyReports } from './terminal-reports.ts';

/** What can be typed into; absent while there is no CLI. */
export interface Keyboard {
  /** Resolves when the terminal has it; under one lane each number is typed once, also over a crash of the runner. */
  type(data: string, once?: WriteOnce): Promise<void>;
  /** Types it as a prompt, in the way of the CLI; says why it was not taken. */
  /** Why a prompt would not be taken now; `null`: it would be kept at once. */
  promptsFull(text: string): string | null;
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
  /** Keeps what `saved()` says: a reset is told once, also when the runner crashes over it. */
  readonly save?: () => void;
  /** Saved before a crash of the runner. */
  readonly lanes?: readonly SavedLane[];
  readonly apiInputs?: SavedApiInput;
}

/** Lanes of a terminal that hold what people typed; API calls may come in any order, so each has one of its own. */
const laneOf = ({ viewerId, controlTerm, inputSeq, source }: InputFrame): WriteOnce =>
  source === 'api'
    ? { lane: `api ${inputSeq}`, number: 1 }
    : { lane: `input ${viewerId} ${controlTerm}`, number: inputSeq };
const LANE = /^input (\S+) (\d+)$/;
const API_LANE = /^api (\d+)$/;

const refusalOf = (keyboard: Keyboard | null, { submit, data }: InputFrame): ApiRefusal => {
  if (keyboard === null) return 'not_running';
  return submit === true && keyboard.promptsFull(data) !== null ? 'overflow' : null;
};

/** Keystrokes within this time make one `input_received`. */
const GATHER_MS = 5_000;
/**
 * An acknowledgement says up to where: it follows the echo instead of going before it on the same line, and one serves a burst of keys.
 * A viewer sends again after 400 ms at the earliest.
 */
const ACK_AFTER_MS = 25;

export class Typing {
  readonly #options: TypingOptions;
  readonly #order: InputOrder;
  readonly #api: ApiInput;
  readonly #gathered = new Map<string, { source: 'viewer' | 'api'; sizeBytes: number }>();
  /** The latest of each viewer and term. */
  readonly #acks = new Map<string, InputReply & { kind: 'ack' }>();
  #keyboard: Keyboard | null = null;
  /** Frames that came while a restarted runner takes its CLI up; `null` otherwise. */
  #early: InputFrame[] | null = null;
  #cancelExpiry: (() => void) | null = null;
  #cancelGather: (() => void) | null = null;
  #cancelAcks: (() => void) | null = null;
  /** Answers leave in the order of what they answer. */
  #answered: Promise<void> = Promise.resolve();

  constructor(options: TypingOptions) {
    this.#options = options;
    this.#order = new InputOrder(options.lanes);
    this.#api = new ApiInput(options.apiInputs);
  }

  /** What must be known after a crash; the terminal knows what it got. */
  saved(): { lanes: SavedLane[]; apiInputs: SavedApiInput } {
    return { lanes: this.#order.saved(), apiInputs: this.#api.saved() };
  }

  /** After a crash: the last number that the terminal got in each of its lanes. */
  restore(written: readonly (readonly [lane: string, number: number])[]): void {
    for (const [lane, number] of written) {
      const apiInputSeq = API_LANE.exec(lane)?.[1];
      if (apiInputSeq !== undefined) this.#api.written(Number(apiInputSeq));
      const [, viewerId, controlTerm] = LANE.exec(lane) ?? [];
      if (viewerId === undefined) continue;
      this.#order.written({ viewerId, controlTerm: Number(controlTerm) }, number);
    }
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

  /** After a crash: input waits until `resume`, instead of being refused by a session that runs. */
  wait(): void {
    this.#early = [];
  }

  resume(): void {
    const early = this.#early ?? [];
    this.#early = null;
    for (const frame of early) this.onInput(frame);
  }

  onInput(frame: InputFrame): void {
    if (this.#early && this.#early.length < INPUT_MAX_HELD_FRAMES) {
      this.#early.push(frame);
      return;
    }
    if (frame.source === 'api') void this.#onApiInput(frame);
    else this.#perform(this.#order.offer(frame, this.#options.clock.monotonicMs(), this.#keyboard !== null));
  }

  /** Its caller waits: answered when the terminal has it, or it is kept, or it was refused. */
  async #onApiInput(frame: InputFrame): Promise<void> {
    const keyboard = this.#keyboard;
    const offer = this.#api.offer(frame, refusalOf(keyboard, frame));
    if (offer.kind === 'wait') return;
    if (offer.kind !== 'take' || !keyboard) {
      if (offer.kind === 'reset') this.#options.save?.();
      if (offer.kind !== 'take') this.#reply(offer);
      return;
    }
    let answer: 'taken' | 'refused' = 'taken';
    if (frame.submit === true) {
      // Before it is kept: what is saved with it says that it was taken.
      this.#api.settle(frame, answer);
      void this.#type(frame);
    } else
      await this.#type(frame).catch((error: unknown) => {
        this.#options.log.warn('input could not be typed', { viewerId: frame.viewerId, error });
        answer = 'refused';
      });
    this.#reply(this.#api.settle(frame, answer));
  }

  /** Records what was typed and not told yet. */
  end(): void {
    this.#keyboard = null;
    this.resume();
    this.#cancelExpiry?.();
    this.#sendAcks();
    this.#tellGathered();
  }

  #perform({ deliver, replies }: InputOutcome): void {
    const typed = deliver.map((frame) => this.#type(frame).catch((error: unknown) => this.#failed(frame, error)));
    if (replies.some(({ kind }) => kind === 'reset')) this.#options.save?.();
    if (typed.length > 0 || replies.length > 0)
      // Only what the terminal has is acknowledged: a runner that crashes before gets the rest from the viewer again.
      this.#answered = Promise.all([this.#answered, ...typed]).then(() => this.#answer(replies));
    this.#armExpiry();
  }

  #answer(replies: readonly InputReply[]): void {
    for (const reply of replies) {
      if (reply.kind === 'ack') this.#ackLater(reply);
      else {
        // In the order they were decided: what a reset follows was delivered.
        this.#sendAcks();
        this.#reply(reply);
      }
    }
  }

  /** Resolves when the terminal has it, or a prompt is kept to be typed. */
  async #type(frame: InputFrame): Promise<void> {
    const keyboard = this.#keyboard;
    if (!keyboard) return;
    let typed: Promise<void> | undefined;
    if (frame.submit === true) void this.#submit(keyboard, frame);
    else typed = keyboard.type(frame.data, laneOf(frame));
    if (frame.submit === true || !isOnlyReports(frame.data)) {
      this.#options.onTyped(frame);
      this.#gather(frame);
    }
    await typed;
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
