/** The seat with its frames: asking for the keyboard, asking again, answering, and who leads after each list that comes. */
import type { ViewerFrame } from '../frames.ts';
import { type SeatView, StreamSeat } from './stream-seat.ts';

export interface StreamControlPorts {
  readonly sessionId: string;
  readonly viewerId: string;
  /** Milliseconds on a steady clock. */
  readonly nowMs: () => number;
  readonly send: (frame: ViewerFrame) => boolean;
  readonly onSeat: (view: SeatView) => void;
  /** This viewer's term of control, `null` as a watcher; after every list that counts. */
  readonly onTerm: (term: number | null) => void;
}

export class StreamControl {
  readonly #ports: StreamControlPorts;
  readonly #seat: StreamSeat;
  #signedView: string | null = null;

  constructor(mode: 'control' | 'watch', ports: StreamControlPorts) {
    this.#ports = ports;
    this.#seat = new StreamSeat(ports.viewerId, mode);
  }

  /** What an attach asks for. */
  get wanted(): 'control' | 'watch' {
    return this.#seat.wanted;
  }

  /** Given with `attached`: proves that frames come from this viewer. */
  sign(view: string): void {
    this.#signedView = view;
  }

  want(mode: 'control' | 'watch'): void {
    this.#seat.want(mode);
    this.#ports.onSeat(this.#seat.view);
  }

  accept(list: Parameters<StreamSeat['accept']>[0]): void {
    if (!this.#seat.accept(list, this.#ports.nowMs())) return;
    this.#ports.onSeat(this.#seat.view);
    this.#ports.onTerm(this.#seat.view.mode === 'control' ? list.controlTerm : null);
  }

  /** False when there is nobody to ask. */
  ask(): boolean {
    if (!this.#seat.isTaken) return false;
    this.#seat.ask(this.#ports.nowMs());
    this.#request(true);
    this.#ports.onSeat(this.#seat.view);
    return true;
  }

  stopAsking(): void {
    this.#request(false);
    this.want('watch');
  }

  answer(allow: boolean): void {
    const { sessionId, viewerId, send } = this.#ports;
    const { askedBy } = this.#seat.view;
    const view = this.#signedView;
    if (askedBy === null || view === null) return;
    const controlTerm = this.#seat.term;
    send({ type: 'control_answer', sessionId, viewerId, view, controlTerm, toViewerId: askedBy.viewerId, allow });
  }

  /** Call it every few hundred milliseconds. */
  tick(): void {
    const { again, changed } = this.#seat.tick(this.#ports.nowMs());
    if (again) this.#request(true);
    if (changed) this.#ports.onSeat(this.#seat.view);
  }

  #request(wanted: boolean): void {
    const { sessionId, viewerId, send } = this.#ports;
    if (this.#signedView !== null)
      send({ type: 'control_request', sessionId, viewerId, view: this.#signedView, wanted });
  }
}
