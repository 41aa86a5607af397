/** The stream of the runners table: rows that are gone, told at least once, late, again, and not in the order in which they went. */
import type { Key } from '../../functions/database.ts';
import { changeOf } from '../../functions/runners/runner-changes.ts';
import { STREAM_RETRIES } from '../../shared/limits.ts';
import type { Chance } from './chance.ts';
import type { Faults } from './faults.ts';
import type { Scheduler } from './scheduler.ts';

export interface RunnerChangesOptions {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly deliver: (keys: readonly Key[]) => Promise<{ kind: 'done' | 'failed' | 'died' }>;
}

const DELAY_MS = { from: 50, to: 800 };
const LATE_MS = { from: 2_000, to: 120_000 };

export class RunnerChanges {
  readonly #options: RunnerChangesOptions;
  #told = 0;
  #newest = 0;

  constructor(options: RunnerChangesOptions) {
    this.#options = options;
  }

  removed(key: Key): void {
    if (changeOf(key) === null) return;
    const { faults, chance, scheduler } = this.#options;
    this.#told += 1;
    const number = this.#told;
    const times = faults.strikes('record_repeated') ? 2 : 1;
    for (let time = 0; time < times; time += 1) {
      const { from, to } = faults.strikes('record_late') ? LATE_MS : DELAY_MS;
      scheduler.after(chance.between(from, to), () => void this.#tell(key, number));
    }
  }

  async #tell(key: Key, number: number): Promise<void> {
    const { faults, deliver, scheduler, chance } = this.#options;
    if (number < this.#newest && faults.isOn) faults.met('record_disordered');
    this.#newest = Math.max(this.#newest, number);
    for (let tries = 0; tries <= STREAM_RETRIES; tries += 1) {
      if ((await deliver([key])).kind === 'done') return;
      await scheduler.pause(chance.between(500, 20_000));
    }
  }
}
