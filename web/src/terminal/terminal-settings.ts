/** How a person likes their terminals, kept for the next visit. */
import { useState } from 'react';
import { clampFontPx, FONT_DEFAULT_PX } from './terminal-font.ts';

const FONT_KEY = 'village.terminal.fontPx';
const READER_KEY = 'village.terminal.screenReader';

const read = (key: string): string | null => {
  try {
    return localStorage.getItem(key);
  } catch {
    // Storage may be closed to us: the defaults stand.
    return null;
  }
};
const write = (key: string, value: string): void => {
  try {
    localStorage.setItem(key, value);
  } catch {
    // The choice then lasts as long as the page.
  }
};

export interface TerminalSettings {
  readonly fontPx: number;
  readonly setFontPx: (fontPx: number) => void;
  readonly screenReader: boolean;
  readonly setScreenReader: (on: boolean) => void;
}

export const useTerminalSettings = (): TerminalSettings => {
  const [fontPx, setFont] = useState(() => clampFontPx(Number(read(FONT_KEY) ?? FONT_DEFAULT_PX) || FONT_DEFAULT_PX));
  const [screenReader, setReader] = useState(() => read(READER_KEY) === 'true');
  return {
    fontPx,
    setFontPx: (wanted) => {
      const next = clampFontPx(wanted);
      write(FONT_KEY, String(next));
      setFont(next);
    },
    screenReader,
    setScreenReader: (on) => {
      write(READER_KEY, String(on));
      setReader(on);
    },
  };
};
