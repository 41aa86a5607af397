/** The people around a session: who watches, who leads, what they type and how large the leader's terminal is. */
import type { ControlToRunnerFrame, FrameOf, WatcherList } from '../../../shared/frames.ts';
import { VIEWERS_PER_SESSION_MAX } from '../../../shared/limits.ts';
import type { TerminalSize } from '../../../shared/session.ts';
import type { LiveView } from './live-view.ts';
import type { Typing } from './typing.ts';

type FrameType = 'input' | 'resize' | 'viewers' | 'control' | 'attach';
export type PeopleFrame = FrameOf<ControlToRunnerFrame, FrameType>;
type AttachFrame = FrameOf<ControlToRunnerFrame, 'attach'>;
type ResizeFrame = FrameOf<ControlToRunnerFrame, 'resize'>;

export interface PeopleOptions {
  readonly typing: Typing;
  readonly onWatched: (isWatched: boolean) => void;
  /** The leader's terminal has this size now. */
  readonly onSize: (size: TerminalSize) => void;
  /** Saved before a crash of the runner. */
  readonly typedInTerm?: number | null;
}

interface Wanted extends TerminalSize {
  readonly controlTerm: number;
  readonly rev: number;
}

export class People {
  readonly #options: PeopleOptions;
  #watchers: WatcherList = { rev: 0, viewers: [], controllerId: null, controlTerm: 0 };
  #live: LiveView | null = null;
  /** Attached before there was a stream: answered once there is one. */
  #early: AttachFrame[] = [];
  /** Sizes as viewers told them; the leader's counts, also when the news that he leads comes later. */
  readonly #sizes = new Map<string, Wanted>();
  #typedInTerm: number | null;

  constructor(options: PeopleOptions) {
    this.#options = options;
    this.#typedInTerm = options.typedInTerm ?? null;
  }

  /** The control term in which a person typed last. */
  get typedInTerm(): number | null {
    return this.#typedInTerm;
  }

  get viewersRev(): number {
    return this.#watchers.rev;
  }

  /** A person typed in the control term that still lasts, and is still there. */
  get isLed(): boolean {
    const { controllerId, controlTerm } = this.#options.typing.control;
    return controllerId !== null && this.#typedInTerm === controlTerm;
  }

  setLive(live: LiveView): void {
    this.#live = live;
    live.setWatchers(this.#watchers);
    for (const attach of this.#early) live.attach(attach);
    this.#early = [];
  }

  noteTyped(source: 'viewer' | 'api', controlTerm: number): void {
    if (source === 'viewer') this.#typedInTerm = controlTerm;
  }

  onFrame(frame: PeopleFrame): void {
    switch (frame.type) {
      case 'input':
        this.#options.typing.onInput(frame);
        return;
      case 'resize':
        this.#onResize(frame);
        return;
      case 'viewers':
        this.setWatchers(frame);
        return;
      case 'control':
        this.#setControl(frame.controllerId, frame.controlTerm);
        return;
      case 'attach':
        this.#onAttach(frame);
    }
  }

  setWatchers({ rev, viewers, controllerId, controlTerm }: WatcherList): void {
    this.#setControl(controllerId, controlTerm);
    if (rev < this.#watchers.rev) return;
    this.#watchers = { rev, viewers, controllerId, controlTerm };
    this.#live?.setWatchers(this.#watchers);
    this.#options.onWatched(viewers.length > 0);
  }

  #onAttach(frame: AttachFrame): void {
    const { viewerId, mode, rev, controlTerm, cols, rows } = frame;
    if (rev > this.#watchers.rev) {
      // The list with this viewer is still on its way: until then it would miss what is sent to the older one.
      const viewers = [...this.#watchers.viewers.filter((known) => known.viewerId !== viewerId), { viewerId, mode }];
      this.setWatchers({ ...this.#watchers, rev, viewers: viewers.slice(-VIEWERS_PER_SESSION_MAX) });
    }
    this.#want(viewerId, { cols, rows, controlTerm, rev: 0 });
    if (this.#live) this.#live.attach(frame);
    else this.#early = [...this.#early.filter((known) => known.viewerId !== viewerId), frame];
  }

  #onResize({ viewerId, controlTerm, rev, cols, rows }: ResizeFrame): void {
    this.#want(viewerId, { cols, rows, controlTerm, rev });
  }

  #want(viewerId: string, wanted: Wanted): void {
    const known = this.#sizes.get(viewerId);
    // Frames of one viewer may change places: the later size has the higher revision.
    if (known && known.controlTerm >= wanted.controlTerm && known.rev > wanted.rev) return;
    this.#sizes.delete(viewerId);
    this.#sizes.set(viewerId, wanted);
    const oldest = this.#sizes.keys().next().value;
    if (this.#sizes.size > VIEWERS_PER_SESSION_MAX && oldest !== undefined) this.#sizes.delete(oldest);
    this.#followLeader();
  }

  #setControl(controllerId: string | null, controlTerm: number): void {
    this.#options.typing.setControl({ controllerId, controlTerm });
    this.#followLeader();
  }

  #followLeader(): void {
    const { controllerId, controlTerm } = this.#options.typing.control;
    const wanted = controllerId === null ? undefined : this.#sizes.get(controllerId);
    if (wanted && wanted.controlTerm <= controlTerm) this.#options.onSize({ cols: wanted.cols, rows: wanted.rows });
  }
}
