/** The asciinema player in a box of its own; another recording makes another player. */
import * as AsciinemaPlayer from 'asciinema-player';
import { useEffect, useImperativeHandle, useRef } from 'react';
import { CAST_IDLE_LIMIT_MS } from '../../../shared/limits.ts';
import 'asciinema-player/dist/bundle/asciinema-player.css';
import './player.css';

export interface PlayerHandle {
  /** Goes to a mark, by its place among the recording's marks. */
  readonly toMark: (index: number) => void;
}

interface PlayerProps {
  /** An asciicast. */
  readonly text: string;
  readonly handle: React.Ref<PlayerHandle>;
  /** The same function each time: another one makes another player. */
  readonly onMark: (index: number) => void;
}

export const Player = ({ text, handle, onMark }: PlayerProps) => {
  const host = useRef<HTMLDivElement>(null);
  const player = useRef<AsciinemaPlayer.Player | null>(null);
  useEffect(() => {
    if (host.current === null) return;
    const made = AsciinemaPlayer.create({ data: text }, host.current, {
      fit: 'both',
      idleTimeLimit: CAST_IDLE_LIMIT_MS / 1_000,
      preload: true,
      controls: true,
      theme: 'village',
      terminalFontFamily: getComputedStyle(document.documentElement).getPropertyValue('--font-mono') || 'monospace',
    });
    made.addEventListener('marker', ({ index }) => onMark(index));
    player.current = made;
    exposeForTests(made);
    return () => {
      made.dispose();
      player.current = null;
      exposeForTests(null);
    };
  }, [text, onMark]);
  useImperativeHandle(handle, () => ({ toMark: (index) => void player.current?.seek({ marker: index }) }), []);
  return <div ref={host} className="replay-player min-h-0 flex-1" data-testid="replay-player" />;
};

declare global {
  interface Window {
    /** What browser tests may drive; nothing in the page reads it. */
    __villageReplay?: AsciinemaPlayer.Player | null;
  }
}
const exposeForTests = (made: AsciinemaPlayer.Player | null): void => {
  window.__villageReplay = made;
};
