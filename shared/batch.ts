/** The bytes a batch's digest is taken of: the runner digests them when it seals a batch, ingest verifies the same. */
import type { EventEnvelope } from './events.ts';

export interface BatchIdentity {
  readonly sessionId: string;
  readonly epoch: number;
  readonly firstRseq: number;
  readonly events: readonly EventEnvelope[];
}

/** Object keys in code-unit order at every depth; `undefined` fields are left out, as JSON leaves them out. */
const ordered = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return Object.fromEntries(entries.map(([key, field]) => [key, ordered(field)]));
};

/**
 * Canonical JSON of (sessionId, epoch, firstRseq, events): `digest` is the lower-case hex SHA-256 of its UTF-8 bytes.
 * The order of keys does not matter, so a batch that was parsed and written again keeps its digest.
 */
export const batchDigestInput = ({ sessionId, epoch, firstRseq, events }: BatchIdentity): string =>
  JSON.stringify([sessionId, epoch, firstRseq, ordered(events)]);
