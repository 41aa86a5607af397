/** Runners that play by the frames: registered and connected as a customer's own, or launched and waiting in the warm pool. */
import { createHash } from 'node:crypto';
import { fillWarmPool } from '../../functions/runners/fill-warm-pool.ts';
import { handleRunnerFrame, type RunnerConnection } from '../../functions/runners/handle-runner-frame.ts';
import { registerRunner } from '../../functions/runners/register-runner.ts';
import { exchangeCredential } from '../../functions/runners/runner-credentials.ts';
import type { EventDraft } from '../../shared/events.ts';
import { type ControlToRunnerFrame, type FrameOf, RunnerFrame } from '../../shared/frames.ts';
import { RegisterRunnerBody, type RunnerInfo } from '../../shared/http.ts';
import { PAGE_MAX } from '../../shared/limits.ts';
import { nextRunnerCredential } from '../../shared/runner-credential.ts';
import { batchOf, TENANT, type TestPorts, USER } from './control-plane-ports.ts';

export type Assigned = FrameOf<ControlToRunnerFrame, 'assign'>;
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

export const LADDER = ['created', 'preparing_workspace', 'starting_provider', 'running', 'stopping', 'completed'];
const step = (fromState: string, toState: string): EventDraft =>
  ({ type: 'session_state_changed', fromState, toState, reason: null }) as EventDraft;
export const toState = (last: string): EventDraft[] =>
  LADDER.slice(1, LADDER.indexOf(last) + 1).map((state, index) => step(LADDER[index] ?? '', state));

export class ScriptedRunner {
  readonly who: RunnerConnection;
  readonly #ports: TestPorts;
  #dial: number;
  /** What its next hello says of it. */
  says: Record<string, unknown>;

  constructor(ports: TestPorts, who: RunnerConnection, says: Record<string, unknown> = {}, dial = 1) {
    this.#ports = ports;
    this.who = who;
    this.says = says;
    this.#dial = dial;
  }

  send(frame: Record<string, unknown>): Promise<ControlToRunnerFrame | null> {
    return handleRunnerFrame(this.#ports, this.who, RunnerFrame.parse(frame));
  }

  async hello(over: Record<string, unknown> = {}): Promise<FrameOf<ControlToRunnerFrame, 'welcome'>> {
    const welcome = await this.send({
      type: 'hello',
      runnerId: 'any-name',
      runnerVersion: '0.1.0',
      buildId: 'own-1',
      protocol: 1,
      dial: this.#dial,
      clis: { shell: '5.2' },
      isolation: 'shared_uid',
      sessions: [],
      ...this.says,
      ...over,
    });
    if (welcome?.type !== 'welcome') throw new Error('not welcome');
    return welcome;
  }

  /** The same runner on another connection. */
  again(connectionId: string): ScriptedRunner {
    return new ScriptedRunner(this.#ports, { ...this.who, connectionId }, this.says, this.#dial + 1);
  }

  status(live: number, over: Record<string, unknown> = {}): Promise<ControlToRunnerFrame | null> {
    return this.send({ type: 'runner_status', ts: 1, live, capacity: 4, draining: false, ...over });
  }

  /** Every assignment that was posted to this connection, repeats included. */
  get assigned(): Assigned[] {
    return this.posted('assign');
  }
  posted<T extends ControlToRunnerFrame['type']>(type: T): FrameOf<ControlToRunnerFrame, T>[] {
    return this.#ports.runnerSender.posted.flatMap(({ connectionId, frame }) =>
      connectionId === this.who.connectionId && frame.type === type ? [frame as FrameOf<ControlToRunnerFrame, T>] : [],
    );
  }

  /** A batch of a session that it got. */
  batch({ sessionId, epoch, capability, config }: Assigned, firstRseq: number, drafts: readonly EventDraft[]) {
    const ref = { tenantId: config.tenantId, sessionId };
    return this.send({ type: 'runner_events', capability, ...batchOf(ref, firstRseq, drafts, epoch) });
  }
}

/** Exchanges the token as a dial does, and returns the connection's principal. */
export const dialled = async (ports: TestPorts, token: string, connectionId: string): Promise<RunnerConnection> => {
  const principal = await exchangeCredential(ports, token, sha256(nextRunnerCredential(token, 'b'.repeat(64))));
  if (principal === null) throw new Error('the dial was refused');
  return { ...principal, connectionId };
};

/** Registered, connected and ready. */
export const ownRunner = async (
  ports: TestPorts,
  {
    group = 'lab',
    maxSessions = 4,
    connectionId = `own-${ports.newId()}`,
    ...says
  }: Record<string, unknown> & {
    group?: string;
    maxSessions?: number;
    connectionId?: string;
  } = {},
): Promise<ScriptedRunner & { readonly runnerId: string }> => {
  const registrar = { tenantId: TENANT, userId: USER, idempotencyKey: undefined };
  const registered = await registerRunner(ports, registrar, RegisterRunnerBody.parse({ group, maxSessions }));
  const who = await dialled(ports, registered.token, connectionId);
  const runner = new ScriptedRunner(ports, who, { capacity: maxSessions, ...says });
  await runner.hello();
  return Object.assign(runner, { runnerId: registered.runnerId });
};

/** As the tenant's people see them; of few runners the first page is all. */
export const runnersOf = async (ports: TestPorts): Promise<RunnerInfo[]> =>
  (await ports.runnerStore.list(TENANT, { limit: PAGE_MAX })).runners;

/** Launches what the pool lacks, and lets every new task say hello. */
export const warmRunners = async (ports: TestPorts): Promise<ScriptedRunner[]> => {
  const before = ports.tasks.launched.length;
  await fillWarmPool({
    ...ports,
    onError: (_runner, error) => {
      throw error;
    },
  });
  return Promise.all(
    ports.tasks.launched.slice(before).map(async ({ environment, taskDefinition }) => {
      const who = await dialled(ports, environment.CONTROL_PLANE_TOKEN ?? '', `warm-${ports.newId()}`);
      const runner = new ScriptedRunner(ports, who, { buildId: /\/(.+):/.exec(taskDefinition)?.[1] ?? 'b' });
      await runner.hello();
      return runner;
    }),
  );
};
