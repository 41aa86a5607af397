/** Dark in both schemes: coding CLIs pick their colours for a dark screen. */
import type { ITheme } from '@xterm/xterm';

export const TERMINAL_THEME: ITheme = {
  background: '#0d0f11',
  foreground: '#d9dcde',
  cursor: '#63c9ab',
  cursorAccent: '#0d0f11',
  selectionBackground: '#2f4f6f',
  scrollbarSliderBackground: '#ffffff26',
  scrollbarSliderHoverBackground: '#ffffff40',
  scrollbarSliderActiveBackground: '#ffffff59',
  black: '#1c2023',
  red: '#f07a70',
  green: '#7fc98f',
  yellow: '#e3b866',
  blue: '#7fb0f2',
  magenta: '#c79bec',
  cyan: '#6fcbd0',
  white: '#c9ced2',
  brightBlack: '#7c868e',
  brightRed: '#ff9c93',
  brightGreen: '#9fe0ac',
  brightYellow: '#f3d08a',
  brightBlue: '#a6c9fa',
  brightMagenta: '#dcbaf7',
  brightCyan: '#97e2e5',
  brightWhite: '#f3f5f6',
};
