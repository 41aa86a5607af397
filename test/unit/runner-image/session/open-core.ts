/** The durable side of a session on a clock and a disk that the test moves, and a control plane that acknowledges when it is told to. */
import { join } from 'node:path';
import { silentLog } from '../../../../runner-image/src/log.ts';
import { loadSession } from '../../../../runner-image/src/session/saved-session.ts';
import { SessionCore } from '../../../../runner-image/src/session/session-core.ts';
import type { Disk } from '../../../../runner-image/src/transport/disk.ts';
import type { RunnerFrame } from '../../../../shared/frames.ts';
import { SessionConfig } from '../../../../shared/session.ts';
import { fixedRandom, manualClock } from '../manual-clock.ts';

const config = SessionConfig.parse({
  sessionId: 'ses_01J0000000000000000000000A',
  tenantId: 'local',
  agentId: 'agt_01J0000000000000000000000A',
  provider: 'shell',
  buildId: 'local',
  model: 'default',
  repository: { url: '/repository' },
});
const { sessionId } = config;
const assign = { sessionId, epoch: 1, config, capability: 'cap-cap', taskDefinition: 't', ranMs: 0 };

/** Opened again in the same folder it is the core of a restarted runner. */
export const openCore = (folder: string, disk: Disk, clock = manualClock()) => {
  const sent: Extract<RunnerFrame, { type: 'runner_events' }>[] = [];
  const held: string[] = [];
  const aborted: string[] = [];
  const core = new SessionCore({
    assign,
    ports: {
      ...{ clock, disk, random: fixedRandom(), log: silentLog, stateDir: folder, bootMs: () => clock.monotonicMs() },
      send: (frame) => sent.push(JSON.parse(frame)) > 0,
      put: async () => ({ kind: 'failed', why: 'none' }),
      putFile: async () => ({ kind: 'failed', why: 'none' }),
      onTick: () => {},
    },
    config: { RUNNER_VERSION: '1', USAGE_TICK_INTERVAL_MS: 30_000, VILLAGE_TASK_DEFINITION: 't' },
    saved: loadSession(join(folder, 'session.json'), disk),
    headOffset: () => 0,
    onAbort: (why) => aborted.push(why),
  });
  const target = {
    freeze: async () => void held.push('freeze'),
    thaw: async () => void held.push('thaw'),
    kill: async () => void held.push('kill'),
  };
  /** The control plane has the batch that was sent last. */
  const ack = () => {
    const batch = sent.at(-1);
    if (!batch) return;
    const ackedRseq = batch.firstRseq + batch.events.length - 1;
    const { firstRseq } = batch;
    core.events.onAck({ type: 'ack', sessionId, epoch: 1, firstRseq, ackedRseq, headSeq: 0, grants: [] });
  };
  /** Everything that waits is sent and acknowledged. */
  const deliver = () => {
    for (let round = 0; round < 5; round += 1) {
      core.events.flush();
      ack();
    }
  };
  const types = () => sent.flatMap(({ events }) => events.map(({ type }) => type));
  return { core, clock, sent, held, target, aborted, ack, deliver, types };
};
