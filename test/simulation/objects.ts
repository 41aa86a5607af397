/** The object store of a simulation: presigned PUTs that fail, come twice, or meet an object that stands already. */
import type { ObjectStore } from '../../functions/sessions/ports.ts';
import type { PutObject } from '../../runner-image/src/session/uploads.ts';
import type { Chance } from './chance.ts';
import type { Reach } from './control-plane.ts';
import type { Faults } from './faults.ts';
import type { LineOwner } from './gateway.ts';
import type { Scheduler } from './scheduler.ts';

export class SimObjects {
  readonly #stored = new Map<string, string>();
  readonly #scheduler: Scheduler;
  readonly #chance: Chance;
  readonly #faults: Faults;

  constructor(scheduler: Scheduler, chance: Chance, faults: Faults) {
    this.#scheduler = scheduler;
    this.#chance = chance;
    this.#faults = faults;
  }

  /** As the control plane reaches it; signing needs no call. */
  store(reach: Reach): ObjectStore {
    return {
      putJson: (key, value) => reach(() => void this.#stored.set(key, JSON.stringify(value))),
      getJson: (key) => reach(() => JSON.parse(this.#stored.get(key) ?? 'null')),
      putOnce: ({ key, body }) => reach(() => (this.#put(key, body) === 200 ? 'stored' : 'taken')),
      getBytes: (key) => reach(() => this.#bytes(key)),
      delete: (key) => reach(() => void this.#stored.delete(key)),
      presignGet: async (key) => key,
      presignPut: async ({ key }) => ({ url: key, headers: {} }),
    };
  }

  /** As a runner process reaches it. */
  putter(owner: LineOwner): PutObject {
    return async (key, _headers, body) => {
      const travel = () => this.#scheduler.pause(this.#chance.between(5, 200), owner);
      await travel();
      const isCut = owner.machine.partitionUntilMs > this.#scheduler.nowMs;
      if (isCut || this.#faults.strikes('upload_failed')) {
        // It may have arrived, and only its answer not.
        if (!isCut && this.#chance.is(0.5)) this.#put(key, body);
        return { kind: 'failed', why: 'reset' };
      }
      const status = this.#put(key, body);
      await travel();
      return { kind: 'answer', status };
    };
  }

  #bytes(key: string): Uint8Array | null {
    const stored = this.#stored.get(key);
    return stored === undefined ? null : Buffer.from(stored, 'base64');
  }

  #put(key: string, body: Uint8Array): number {
    if (this.#stored.has(key)) return 412;
    this.#stored.set(key, Buffer.from(body).toString('base64'));
    return 200;
  }
}
