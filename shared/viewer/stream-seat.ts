/** Who is here, who leads, and how a viewer comes to lead: it asks, waits for an answer, and may take over when none comes. */
import type { ControlToViewerFrame, FrameOf } from '../frames.ts';
import { CONTROL_REQUEST_AGAIN_MS, CONTROL_REQUEST_ANSWER_MS } from '../limits.ts';
import type { Presence } from '../session.ts';

type PresenceList = Pick<
  FrameOf<ControlToViewerFrame, 'presence'>,
  'rev' | 'viewers' | 'controllerId' | 'controlTerm' | 'request'
>;

export interface SeatView {
  readonly mode: 'control' | 'watch';
  readonly controllerId: string | null;
  readonly presence: readonly Presence[];
  /** Somebody asks for this viewer's keyboard. */
  readonly askedBy: Presence | null;
  /** What came of asking for the keyboard; `unanswered` and `declined` leave taking it without consent. */
  readonly asking: 'waiting' | 'unanswered' | 'declined' | null;
}
export const EMPTY_SEAT: SeatView = {
  mode: 'watch',
  controllerId: null,
  presence: [],
  askedBy: null,
  asking: null,
};

/** Pure: frames and times in, what is so out. */
export class StreamSeat {
  readonly #viewerId: string;
  #view: SeatView = EMPTY_SEAT;
  #rev = 0;
  #term = 0;
  #askedAtMs: number | null = null;
  #sentAtMs = 0;
  #wanted: 'control' | 'watch';

  constructor(viewerId: string, wanted: 'control' | 'watch') {
    this.#viewerId = viewerId;
    this.#wanted = wanted;
  }

  get view(): SeatView {
    return this.#view;
  }
  get term(): number {
    return this.#term;
  }
  /** What an attach asks for. */
  get wanted(): 'control' | 'watch' {
    return this.#wanted;
  }

  want(mode: 'control' | 'watch'): void {
    this.#wanted = mode;
    this.#askedAtMs = null;
    this.#view = { ...this.#view, asking: null };
  }

  /** Frames overtake each other: an older list brings nobody back. False when it is one. */
  accept(list: PresenceList, nowMs: number): boolean {
    if (list.rev < this.#rev) return false;
    this.#rev = list.rev;
    this.#term = list.controlTerm;
    const { viewers: presence, controllerId, request } = list;
    const mine = controllerId === this.#viewerId;
    if (mine) this.want('control');
    else if (this.#view.mode === 'control') this.#wanted = 'watch';
    const isDeclined = request?.viewerId === this.#viewerId && request.declined && this.#askedAtMs !== null;
    const asker = mine && request !== null && !request.declined ? request.viewerId : null;
    this.#view = {
      mode: mine ? 'control' : 'watch',
      controllerId,
      presence,
      askedBy: presence.find(({ viewerId }) => viewerId === asker) ?? null,
      asking: isDeclined ? 'declined' : this.#asking(nowMs),
    };
    return true;
  }

  /** Whether there is somebody to ask; else the keyboard is free to take. */
  get isTaken(): boolean {
    const { controllerId, presence } = this.#view;
    return controllerId !== null && presence.some(({ viewerId }) => viewerId === controllerId);
  }

  ask(nowMs: number): void {
    this.#askedAtMs = nowMs;
    this.#sentAtMs = nowMs;
    this.#view = { ...this.#view, asking: 'waiting' };
  }

  /** `again`: the question is due once more, as nothing shows that it arrived for good. */
  tick(nowMs: number): { again: boolean; changed: boolean } {
    const asking = this.#view.asking === 'declined' ? 'declined' : this.#asking(nowMs);
    const changed = asking !== this.#view.asking;
    if (changed) this.#view = { ...this.#view, asking };
    const again = asking === 'waiting' && nowMs - this.#sentAtMs >= CONTROL_REQUEST_AGAIN_MS;
    if (again) this.#sentAtMs = nowMs;
    return { again, changed };
  }

  #asking(nowMs: number): SeatView['asking'] {
    if (this.#askedAtMs === null) return null;
    return nowMs - this.#askedAtMs >= CONTROL_REQUEST_ANSWER_MS ? 'unanswered' : 'waiting';
  }
}
