/** The invariants of the simulation, asked of a real village: what its tables hold, what its objects hold, what viewers saw. */
import { createApiClient } from '../../cli/api-client.ts';
import { transcriptSource } from '../../cli/viewer/transcript.ts';
import type { SessionEvent } from '../../shared/events.ts';
import { storedChunks } from '../../shared/viewer/transcript-source.ts';
import { TranscriptWalk } from '../../shared/viewer/transcript-walk.ts';
import { checkVillage } from '../invariants/check-village.ts';
import { type StoredVillage, storedVillage } from '../invariants/stored.ts';
import type { Violation } from '../invariants/violation.ts';
import type { Endpoint } from './village.ts';
import type { VillageDatabase } from './village-database.ts';

const inOrder = (event: SessionEvent): string =>
  JSON.stringify(Object.entries(event).sort(([a], [b]) => (a < b ? -1 : 1)));

/** What was shown to anybody as durable stands in the log, unchanged and under its number. */
const checkSeen = ({ sessions }: StoredVillage, seen: readonly SessionEvent[]): Violation[] => {
  const stored = new Map(
    sessions.flatMap(({ ref, events }) =>
      events.map((event) => [`${ref.sessionId}/${event.seq}`, inOrder(event)] as const),
    ),
  );
  return seen.flatMap((event): Violation[] => {
    const found = stored.get(`${event.sessionId}/${event.seq}`);
    if (found === inOrder(event)) return [];
    const message = `seq ${event.seq} (${event.type}) was shown and ${found === undefined ? 'is not stored' : `is stored as ${found}`}`;
    return [{ rule: found === undefined ? 'event_lost' : 'event_changed', sessionId: event.sessionId, message }];
  });
};

export interface StoredFindings {
  readonly stored: StoredVillage;
  readonly violations: readonly Violation[];
}

/** @param seen events that viewers were shown; while sessions run, ask only when nothing is being written */
export const checkStored = async (
  database: VillageDatabase,
  { isOver = false, seen = [] }: { isOver?: boolean; seen?: readonly SessionEvent[] } = {},
): Promise<StoredFindings> => {
  const stored = storedVillage(await database.tables());
  return { stored, violations: [...checkVillage({ stored, known: [], isOver }), ...checkSeen(stored, seen)] };
};

export interface StoredTerminal {
  /** Of each epoch, from its first stored byte on. */
  readonly text: ReadonlyMap<number, string>;
  /** Places within an epoch where bytes are missing, and chunks that cannot be read. */
  readonly holes: readonly string[];
}

/** The whole terminal of a session as its transcript has it. */
export const storedTerminal = async (endpoint: Endpoint, sessionId: string): Promise<StoredTerminal> => {
  const source = transcriptSource(createApiClient(endpoint), sessionId);
  const walk = new TranscriptWalk();
  const text = new Map<number, string>();
  const holes: string[] = [];
  for await (const { listed, chunk } of storedChunks(source, { epoch: 1, offset: 0 })) {
    const name = `epoch ${listed.epoch}, chunk ${listed.number}`;
    if (chunk === null) holes.push(`${name} cannot be read`);
    else
      for (const step of walk.next(chunk)) {
        if (step.kind === 'write') text.set(step.epoch, (text.get(step.epoch) ?? '') + step.data);
        if (step.kind === 'begin' && step.offset > 0)
          holes.push(`${name} begins at ${step.offset} after ${step.after?.offset ?? 'nothing'}`);
      }
  }
  return { text, holes };
};
