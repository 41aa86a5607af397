/** The runner's lease on its session: who cannot show a recent acknowledgement must not let the agent work on. */
import { LEASE_LOST_KILL_MS, LEASE_MS } from '../../../shared/limits.ts';

export type LeaseDecision =
  | { readonly kind: 'held'; readonly untilMs: number }
  /** Suspect, not dead: freeze the CLI, keep journal and spool, go on dialling. */
  | { readonly kind: 'lost'; readonly killAtMs: number }
  | { readonly kind: 'kill' };

/** `provenAtMs`: send time of the last acknowledged batch, on a clock that counts suspend. */
export const decideLease = (provenAtMs: number, nowMs: number): LeaseDecision => {
  const untilMs = provenAtMs + LEASE_MS;
  if (nowMs < untilMs) return { kind: 'held', untilMs };
  const killAtMs = untilMs + LEASE_LOST_KILL_MS;
  return nowMs < killAtMs ? { kind: 'lost', killAtMs } : { kind: 'kill' };
};
