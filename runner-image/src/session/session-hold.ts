/** What holds a session's processes: its lease, a disk or journal without room, people; each told when it begins and when it is over. */
import type { Clock } from '../../../shared/clock.ts';
import type { EventDraft } from '../../../shared/events.ts';
import type { Log } from '../log.ts';
import { type FreezeReason, Freezer } from './freezer.ts';
import { LeaseKeeper } from './lease-keeper.ts';

/** People hold and let go by themselves; these are told of. */
export type HoldReason = Exclude<FreezeReason, 'pause'>;

const DETAILS: Readonly<Record<HoldReason, string>> = {
  lease_lost: 'the control plane has not answered for the length of the lease',
  journal_full: 'too many events wait to be taken by the control plane',
  disk_full: 'the disk of the runner is full',
  stream_broken: 'control plane and runner disagree about the events',
};

export interface SessionHoldOptions {
  readonly clock: Clock;
  /** Milliseconds that also pass while the machine sleeps. */
  readonly bootMs: () => number;
  readonly log: Log;
  readonly leaseProvenAtMs: number;
  /** Whether its time is billed may be another now. */
  readonly onChanged: () => void;
  readonly tell: (draft: EventDraft) => void;
  /** The lease is lost for good. */
  readonly onKill: () => void;
}

export class SessionHold {
  readonly freezer: Freezer;
  readonly #lease: LeaseKeeper;
  readonly #options: SessionHoldOptions;

  constructor(options: SessionHoldOptions) {
    const { clock, bootMs, log, leaseProvenAtMs: provenAtMs, onKill } = options;
    this.#options = options;
    this.freezer = new Freezer(clock, log);
    this.#lease = new LeaseKeeper({
      ...{ clock, bootMs, provenAtMs, onKill },
      onLost: () => this.set('lease_lost', true),
      onHeld: () => this.set('lease_lost', false),
    });
  }

  get leaseProvenAtMs(): number {
    return this.#lease.provenAtMs;
  }

  prove(sentAtMs: number): void {
    this.#lease.prove(sentAtMs);
  }

  set(reason: HoldReason, isOn: boolean): void {
    const { onChanged, tell } = this.#options;
    void this.freezer.set(reason, isOn).then(onChanged);
    const details = DETAILS[reason];
    tell({ type: 'session_frozen', frozen: isOn, reason: isOn ? details : `no longer: ${details}` });
  }

  /** After a crash: what held the session before holds it on, or is told to be over. What is broken stays so: the stream says it again. */
  goOn(held: readonly FreezeReason[]): void {
    const { isLost } = this.#lease;
    if (isLost && held.includes('lease_lost')) void this.freezer.set('lease_lost', true);
    else if (isLost) this.set('lease_lost', true);
    const goesOn = new Set<FreezeReason>(['pause', 'stream_broken', ...(isLost ? (['lease_lost'] as const) : [])]);
    for (const reason of held) if (reason !== 'pause' && !goesOn.has(reason)) this.set(reason, false);
  }

  stop(): void {
    this.#lease.stop();
  }
}
