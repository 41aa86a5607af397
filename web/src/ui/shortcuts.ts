/** Single-key shortcuts that never fire while a person types, into a field or into a terminal. */
import { useEffect } from 'react';

const typesInto = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || target.closest('input, textarea, select, .xterm, dialog') !== null);

export const useShortcut = (key: string, run: () => void): void => {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== key || event.ctrlKey || event.metaKey || event.altKey || typesInto(event.target)) return;
      event.preventDefault();
      run();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [key, run]);
};
