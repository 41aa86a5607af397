/** What of a machine outlives the container on it: its disk, what its sessions came to, its network. */
import type { Machine } from './gateway.ts';
import { SimDisk } from './sim-disk.ts';
import type { HostWorld } from './sim-host.ts';
import { type PlaceMachine, SimPlace } from './sim-place.ts';

const NOBODY: PlaceMachine = { process: null, skew: () => {}, worked: () => {} };

export class SimGround {
  readonly disk: SimDisk;
  readonly machine: Machine = { partitionUntilMs: 0, isPartitionMet: false };
  readonly #world: HostWorld;
  readonly #places = new Map<string, SimPlace>();
  /** The container that runs on it now. */
  host: PlaceMachine = NOBODY;

  constructor(world: HostWorld) {
    this.#world = world;
    this.disk = new SimDisk(world.chance, world.faults);
  }

  get places(): readonly SimPlace[] {
    return [...this.#places.values()];
  }

  place(of: { readonly sessionId: string; readonly epoch: number }): SimPlace {
    const name = `${of.sessionId}#${of.epoch}`;
    const known = this.#places.get(name);
    if (known !== undefined) return known;
    const place = new SimPlace(this.#world, of, () => this.host);
    this.#places.set(name, place);
    return place;
  }

  known({ sessionId, epoch }: { readonly sessionId: string; readonly epoch: number }): SimPlace | null {
    return this.#places.get(`${sessionId}#${epoch}`) ?? null;
  }

  /** Nothing runs on it any more; what is written stays. */
  stopped(): void {
    this.host = NOBODY;
    for (const place of this.#places.values()) place.cliDied();
  }

  /** @param isLeft in order, by a process that said it was done */
  lost(isLeft = false): void {
    this.stopped();
    for (const place of this.#places.values()) if (!isLeft || !place.mustTellAll) this.#world.truth.diskLost(place);
  }
}
