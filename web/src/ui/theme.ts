/** Dark, light or the system's choice; stored, and applied before the first paint by public/theme.js. */
import { useState } from 'react';

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'village.theme';

const stored = (): Theme => {
  try {
    const theme = localStorage.getItem(KEY);
    return theme === 'light' || theme === 'dark' ? theme : 'system';
  } catch {
    // Storage may be closed to us: the system's choice stands.
    return 'system';
  }
};

const apply = (theme: Theme): void => {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // The choice then lasts as long as the page.
  }
};

export const useTheme = (): readonly [Theme, (theme: Theme) => void] => {
  const [theme, setTheme] = useState(stored);
  const choose = (next: Theme) => {
    apply(next);
    setTheme(next);
  };
  return [theme, choose];
};
