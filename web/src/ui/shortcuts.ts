/** Single-key shortcuts that never fire while a person types, into a field or into a terminal. */
import { useEffect } from 'react';

/** Beside a live terminal every key may be meant for it, also just before it has the focus. */
const KEYS_BELONG_TO = '[data-takes-keys]';

const typesInto = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || target.closest('input, textarea, select, .xterm, dialog') !== null);

/** `leavesPage`: not beside a live terminal. */
export const useShortcut = (key: string, run: () => void, leavesPage = false): void => {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== key || event.ctrlKey || event.metaKey || event.altKey || typesInto(event.target)) return;
      if (leavesPage && document.querySelector(KEYS_BELONG_TO) !== null) return;
      event.preventDefault();
      run();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [key, run, leavesPage]);
};
