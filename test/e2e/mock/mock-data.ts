/** Sessions and events for page tests; every value passes the schema the real control plane answers with. */
import type { SessionEvent } from '../../../shared/events.ts';
import { SessionEventSchema } from '../../../shared/events.ts';
import { RunnerInfo } from '../../../shared/http.ts';
import { SessionView } from '../../../shared/session.ts';

const ULID_LETTERS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** A well-formed id that says its number. */
export const mockId = (prefix: 'ses' | 'agt', number: number): string =>
  `${prefix}_${[...String(number).padStart(26, '0')].map((digit) => ULID_LETTERS[Number(digit)]).join('')}`;

export const mockSession = (number: number, over: Partial<SessionView> = {}): SessionView => {
  const nowIso = new Date().toISOString();
  return SessionView.parse({
    sessionId: mockId('ses', number),
    agentId: mockId('agt', number),
    state: 'running',
    reason: null,
    desired: 'run',
    provider: 'claude_code',
    model: 'scripted',
    buildId: 'claude_code@2.1.330',
    repository: { url: 'https://git.example/acme/harbour.git', ref: 'main' },
    title: `Session ${number}`,
    epoch: 1,
    head: { epoch: 1, offset: 0, seq: 0 },
    createdBy: 'owner',
    createdAt: nowIso,
    updatedAt: nowIso,
    lastEventAt: nowIso,
    startedAt: nowIso,
    endedAt: null,
    taskArn: 'arn:aws:ecs:local:000000000000:task/village/1',
    pool: 'hosted',
    placement: null,
    queuePosition: null,
    parked: false,
    usage: { agentMs: 61_000, waitingMs: 0, terminalBytes: 5_120, filesTouched: 2, commands: 3 },
    ...over,
  });
};

/** Numbers drafts as the log would: `seq` from 1, one second apart, the last one `endMs`. */
export const mockEvents = (
  session: SessionView,
  drafts: readonly (Record<string, unknown> & { type: string })[],
  endMs = Date.now(),
): SessionEvent[] =>
  drafts.map((draft, index) =>
    SessionEventSchema.parse({
      v: 1,
      sessionId: session.sessionId,
      tenantId: 'local',
      epoch: Math.max(1, session.epoch),
      rseq: index + 1,
      seq: index + 1,
      ts: endMs - (drafts.length - 1 - index) * 1_000,
      offset: 0,
      ...draft,
    }),
  );

export const mockRunner = (runnerId: string, over: Partial<RunnerInfo> = {}): RunnerInfo =>
  RunnerInfo.parse({
    runnerId,
    kind: 'customer',
    state: 'serving',
    runnerVersion: '0.1.0',
    buildId: 'shell',
    sessionId: null,
    epoch: null,
    connectedAt: new Date().toISOString(),
    lastSeenAt: new Date().toISOString(),
    group: 'build-farm',
    capacity: 4,
    ...over,
  });
