/** What happens in one turn of the loop and what is known behind it: handed on together, so that a crash splits nothing. */
import type { ProviderEvent, SavedProvider } from '../contract.ts';

export interface Ledger {
  emit(event: ProviderEvent): void;
  /** Hands on what was emitted, with the state behind it. To be called before anything is awaited or answered. */
  commit(): void;
  /** Something was emitted and not handed on yet. */
  readonly isDue: boolean;
}

export function openLedger(
  onEvents: (events: readonly ProviderEvent[], saved: SavedProvider) => void,
  saved: () => SavedProvider,
): Ledger {
  let due: ProviderEvent[] = [];
  return {
    emit: (event) => void due.push(event),
    commit() {
      const events = due;
      due = [];
      onEvents(events, saved());
    },
    get isDue() {
      return due.length > 0;
    },
  };
}
