/**
 * Puts the input of viewers in order: delivered once, in the order typed, never past a hole. Pure: state, frame and time
 * in; what to type and what to answer out.
 */
import { z } from 'zod';
import { INPUT_HOLE_MS, INPUT_LANES_MAX, INPUT_MAX_HELD_FRAMES, INPUT_RESET_JUMP } from '../../../shared/limits.ts';

export interface InputFrame {
  readonly viewerId: string;
  readonly source: 'viewer' | 'api';
  readonly controlTerm: number;
  readonly inputSeq: number;
  readonly data: string;
  /** Typed as a prompt and submitted, in the way of the CLI. */
  readonly submit?: boolean;
}

export interface Control {
  readonly controllerId: string | null;
  readonly controlTerm: number;
}

export type InputReply =
  | { readonly kind: 'ack'; readonly viewerId: string; readonly controlTerm: number; readonly inputSeq: number }
  | {
      readonly kind: 'reset';
      readonly viewerId: string;
      readonly controlTerm: number;
      readonly expected: number;
      readonly reason: 'hole' | 'overflow' | 'not_controller' | 'not_running';
    };

export interface InputOutcome {
  readonly deliver: readonly InputFrame[];
  readonly replies: readonly InputReply[];
}

interface Lane {
  readonly viewerId: string;
  readonly controlTerm: number;
  delivered: number;
  expected: number;
  highest: number;
  held: Map<number, InputFrame>;
  heldSinceMs: number | null;
  /** Why it was reset last: what was on its way then is answered with the same. */
  resetReason: ResetReason;
}

type ResetReason = (InputReply & { kind: 'reset' })['reason'];

/** What is left of a lane after a crash. Frames that were held behind a hole are not: their viewer sends them again. */
export const SavedLane = z.strictObject({
  viewerId: z.string(),
  controlTerm: z.int().min(0),
  delivered: z.int().min(0),
  expected: z.int().min(1),
  highest: z.int().min(0),
  resetReason: z.enum(['hole', 'overflow', 'not_controller', 'not_running']),
});
export type SavedLane = z.infer<typeof SavedLane>;

const NOTHING: InputOutcome = { deliver: [], replies: [] };

export class InputOrder {
  readonly #lanes = new Map<string, Lane>();
  #control: Control = { controllerId: null, controlTerm: 0 };

  /** `lanes` as they were saved before a crash of the runner. */
  constructor(lanes: readonly SavedLane[] = []) {
    for (const lane of lanes) this.#lanes.set(keyOf(lane), { ...lane, held: new Map(), heldSinceMs: null });
  }

  get control(): Control {
    return this.#control;
  }

  saved(): SavedLane[] {
    return [...this.#lanes.values()].map(({ held: _held, heldSinceMs: _since, ...lane }) => lane);
  }

  /** After a crash: the terminal itself says what it got last of this lane. */
  written(lane: Pick<SavedLane, 'viewerId' | 'controlTerm'>, inputSeq: number): void {
    const known = this.#laneOf(lane);
    known.delivered = Math.max(known.delivered, inputSeq);
    known.expected = Math.max(known.expected, inputSeq + 1);
    known.highest = Math.max(known.highest, inputSeq);
  }

  /** Terms only rise; within a term the controller may leave. Delivers what was held because the news of it came late. */
  setControl(control: Control): InputOutcome {
    if (control.controlTerm < this.#control.controlTerm) return NOTHING;
    this.#control = control;
    const outcomes = [...this.#lanes.values()].filter((lane) => this.#mayType(lane)).map((lane) => this.#drain(lane));
    return joined(outcomes);
  }

  /** Takes one frame; `isRunning` is false while there is nothing to type into. */
  offer(frame: InputFrame, nowMs: number, isRunning: boolean): InputOutcome {
    const lane = this.#laneOf(frame);
    lane.highest = Math.max(lane.highest, frame.inputSeq);
    if (frame.inputSeq <= lane.delivered) return { deliver: [], replies: [ackOf(lane)] };
    // Before anything else: a second reset with a higher number would cut into what was typed after the first.
    if (frame.inputSeq < lane.expected) return { deliver: [], replies: [resetOf(lane)] };
    if (!isRunning) return this.#reset(lane, 'not_running');
    const isFuture = frame.controlTerm > this.#control.controlTerm;
    if (!isFuture && !this.#mayType(lane)) return this.#reset(lane, 'not_controller');
    lane.held.set(frame.inputSeq, frame);
    lane.heldSinceMs ??= nowMs;
    if (lane.held.size > INPUT_MAX_HELD_FRAMES) return this.#reset(lane, 'overflow');
    return isFuture ? NOTHING : this.#drain(lane, nowMs);
  }

  /** When `expire` has something to do, on the clock of `offer`; `null` while nothing is held. */
  nextExpiryMs(): number | null {
    const since = [...this.#lanes.values()].flatMap((lane) => lane.heldSinceMs ?? []);
    return since.length === 0 ? null : Math.min(...since) + INPUT_HOLE_MS;
  }

  /** Gives up on holes older than INPUT_HOLE_MS: their viewers are told. */
  expire(nowMs: number): InputOutcome {
    const late = [...this.#lanes.values()].filter(
      (lane) => lane.heldSinceMs !== null && nowMs - lane.heldSinceMs >= INPUT_HOLE_MS,
    );
    return joined(late.map((lane) => this.#reset(lane, this.#mayType(lane) ? 'hole' : 'not_controller')));
  }

  #mayType(lane: Lane): boolean {
    return lane.controlTerm === this.#control.controlTerm && lane.viewerId === this.#control.controllerId;
  }

  #laneOf({ viewerId, controlTerm }: Pick<Lane, 'viewerId' | 'controlTerm'>): Lane {
    const key = keyOf({ viewerId, controlTerm });
    const known = this.#lanes.get(key);
    if (known) return known;
    const lane: Lane = {
      viewerId,
      controlTerm,
      delivered: 0,
      expected: 1,
      highest: 0,
      held: new Map(),
      heldSinceMs: null,
      resetReason: 'hole',
    };
    this.#lanes.set(key, lane);
    const oldest = this.#lanes.keys().next().value;
    if (this.#lanes.size > INPUT_LANES_MAX && oldest !== undefined) this.#lanes.delete(oldest);
    return lane;
  }

  #drain(lane: Lane, nowMs?: number): InputOutcome {
    const deliver: InputFrame[] = [];
    for (let frame = lane.held.get(lane.expected); frame !== undefined; frame = lane.held.get(lane.expected)) {
      lane.held.delete(lane.expected);
      deliver.push(frame);
      lane.delivered = lane.expected;
      lane.expected += 1;
    }
    if (lane.held.size === 0) lane.heldSinceMs = null;
    else if (deliver.length > 0 && nowMs !== undefined) lane.heldSinceMs = nowMs;
    return { deliver, replies: deliver.length > 0 ? [ackOf(lane)] : [] };
  }

  #reset(lane: Lane, reason: ResetReason): InputOutcome {
    lane.held.clear();
    lane.heldSinceMs = null;
    // What was on its way when a viewer learnt of the reset is told by the jump from what was typed afterwards.
    lane.expected = lane.highest + INPUT_RESET_JUMP;
    lane.resetReason = reason;
    return { deliver: [], replies: [resetOf(lane)] };
  }
}

const keyOf = ({ viewerId, controlTerm }: Pick<Lane, 'viewerId' | 'controlTerm'>): string =>
  `${viewerId} ${controlTerm}`;

const ackOf = ({ viewerId, controlTerm, delivered }: Lane): InputReply => ({
  kind: 'ack',
  viewerId,
  controlTerm,
  inputSeq: delivered,
});
const resetOf = ({ viewerId, controlTerm, expected, resetReason }: Lane): InputReply => ({
  kind: 'reset',
  viewerId,
  controlTerm,
  expected,
  reason: resetReason,
});

const joined = (outcomes: readonly InputOutcome[]): InputOutcome => ({
  deliver: outcomes.flatMap(({ deliver }) => deliver),
  replies: outcomes.flatMap(({ replies }) => replies),
});
