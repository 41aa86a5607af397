/** Whether the view follows the end of the output or stays where a person stopped to read, over redraws too. */
import type { Terminal } from '@xterm/xterm';
import { type Place, recallPlace, rememberPlace } from './keep-place.ts';

export class FollowTail {
  readonly #terminal: Terminal;
  readonly #onFollow: (follow: boolean) => void;
  #follow = true;
  #heldLine = 0;
  #place: Place | null = null;

  constructor(terminal: Terminal, host: HTMLElement, onFollow: (follow: boolean) => void, signal: AbortSignal) {
    this.#terminal = terminal;
    this.#onFollow = onFollow;
    // Output moves view and end together: apart from each other they are only where a person scrolled.
    const scrolled = terminal.onScroll(() => {
      const { viewportY, baseY } = terminal.buffer.active;
      this.#heldLine = viewportY;
      if (this.#follow && viewportY < baseY && this.#place === null) this.set(false);
    });
    signal.addEventListener('abort', () => scrolled.dispose());
    const onWheel = ({ deltaY }: WheelEvent) => {
      const { viewportY, baseY } = terminal.buffer.active;
      if (deltaY < 0 && this.#follow && baseY > 0) this.set(false);
      if (deltaY > 0 && !this.#follow && viewportY === baseY) this.set(true);
    };
    host.addEventListener('wheel', onWheel, { passive: true, signal });
  }

  set(follow: boolean): void {
    this.#follow = follow;
    this.#heldLine = this.#terminal.buffer.active.viewportY;
    this.#onFollow(follow);
    if (follow) this.#terminal.scrollToBottom();
  }

  /** The screen is about to be drawn anew. */
  remember(): void {
    this.#place ??= rememberPlace(this.#terminal);
  }

  /** It is drawn and not painted yet: nobody sees it anywhere else. */
  recall(): void {
    if (this.#place !== null) this.#heldLine = recallPlace(this.#terminal, this.#place);
    this.#place = null;
    this.keep();
  }

  /** After output: at the end, or where the person stopped. */
  keep(): void {
    const { baseY } = this.#terminal.buffer.active;
    if (this.#follow) this.#terminal.scrollToBottom();
    else this.#terminal.scrollToLine(Math.min(this.#heldLine, baseY));
  }
}
