/** One broken promise, said so that a person finds it: which rule, which session, what stands there. */
import type { StoredSession } from './stored.ts';

export const RULES = [
  'log_numbers',
  'event_lost',
  'event_twice',
  'event_changed',
  'ledger',
  'transition',
  'final_state_left',
  'one_runner_per_epoch',
  'epochs',
  'terminal_address',
  'session_ends',
  'slots',
  'watchers',
  'cli_without_lease',
  'places',
  'queue',
  'warm_pool',
  'revoked_runner',
] as const;
export type Rule = (typeof RULES)[number];

export interface Violation {
  readonly rule: Rule;
  readonly sessionId: string | null;
  readonly message: string;
}

/** Collects what is broken about one session. */
export const findings = (session: Pick<StoredSession, 'ref'> | null) => {
  const violations: Violation[] = [];
  return {
    violations,
    /** Notes `message` unless `holds`. */
    expect(holds: boolean, rule: Rule, message: string | (() => string)): void {
      if (holds) return;
      const sessionId = session?.ref.sessionId ?? null;
      violations.push({ rule, sessionId, message: typeof message === 'string' ? message : message() });
    },
  };
};
