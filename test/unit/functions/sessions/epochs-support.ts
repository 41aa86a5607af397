/** A running session in memory, and what its runner may say of it. */
import { expect } from 'vitest';
import { headKey, type SessionRef } from '../../../../functions/sessions/session-store.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { readEvents } from '../../../../functions/streams/segments.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { ZERO_USAGE } from '../../../../shared/usage.ts';
import { batchOf, controlPlanePorts, startedSession, type TestPorts } from '../../../fakes/control-plane-ports.ts';

export const LADDER = ['created', 'preparing_workspace', 'starting_provider', 'running'] as const;
export const toRunning: EventDraft[] = LADDER.slice(1).map((toState, index) => ({
  type: 'session_state_changed',
  fromState: LADDER[index] ?? 'created',
  toState,
  reason: null,
}));
export const change = (fromState: string, toState: string): EventDraft =>
  ({ type: 'session_state_changed', fromState, toState, reason: null }) as EventDraft;
export const tick = (agentMs: number, final = false): EventDraft => ({
  type: 'usage_tick',
  counters: { ...ZERO_USAGE, agentMs, commands: 1 },
  final,
  cliVersion: '5.2',
  runnerBuild: 'r1',
  taskDefinition: 'td:1',
});
export const turn: EventDraft = { type: 'turn_finished', turn: 1, tookMs: 5 };
export const drained: EventDraft = { type: 'epoch_drained', why: 'SIGTERM', checkpointKey: null };
export const parked: EventDraft = { type: 'session_parked', checkpointKey: 'none' };
export const lost = { asRead: null, cause: 'runner_lost', reason: { code: 'runner_lost', message: 'gone' } } as const;
export const MINUTE = 60_000;
export const onError = () => expect.unreachable();

export const assigned = (ports: TestPorts, ref: SessionRef) =>
  ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: headKey(ref),
    set: { assignedAtMs: ports.clock.nowMs() },
  });

/** Assigned and running for a minute. */
export const runningSession = async (more: readonly EventDraft[] = []) => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  await assigned(ports, ref);
  ports.clock.advance(MINUTE);
  await ingestBatch(ports, ref, batchOf(ref, 1, [...toRunning, ...more]));
  return { ports, ref, next: 4 + more.length };
};

export const slots = (ports: TestPorts) => ports.db.all('tenants').find((item) => item.sk === 'SLOTS')?.live;
export const typesOf = async (ports: TestPorts, ref: SessionRef) =>
  (await readEvents(ports.db, ref, 0, 1_000)).map(({ epoch, type }) => `${epoch} ${type}`);
export const metas = (ports: TestPorts) => ports.db.all('sessions').filter((item) => item.sk === 'META');
