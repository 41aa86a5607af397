/** Viewers and runners of a control plane that runs for one file of tests. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { z } from 'zod';
import {
  ControlToRunnerFrame,
  NEXT_CREDENTIAL_HEADER,
  TICKET_SUBPROTOCOL_PREFIX,
  VIEWER_SUBPROTOCOL,
} from '../../shared/frames.ts';
import { nextRunnerCredential } from '../../shared/runner-credential.ts';
import { type Connection, type ControlPlane, startControlPlane, startedShell } from './functions-harness.ts';

export let plane: ControlPlane;
export let token = '';
beforeAll(async () => {
  plane = await startControlPlane();
  token = (await plane.bootstrap('acme')).token;
});
afterAll(() => plane.stop());
beforeEach(() => {
  plane.posts.length = 0;
});

export const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

export const viewer = async (id?: string): Promise<Connection> => {
  const { body } = await plane.http('POST', '/api/tickets', { token, body: {} });
  const ticket = z.object({ ticket: z.string() }).parse(body).ticket;
  const protocols = `${VIEWER_SUBPROTOCOL}, ${TICKET_SUBPROTOCOL_PREFIX}${ticket}`;
  const connection = await plane.connect('viewer', { 'Sec-WebSocket-Protocol': protocols }, id);
  if (connection === null) throw new Error('the viewer was refused');
  return connection;
};
export const runner = async (id?: string) => {
  const session = await startedShell(plane, token);
  const connection = await plane.connect(
    'runner',
    {
      Authorization: `Bearer ${session.runnerToken}`,
      [NEXT_CREDENTIAL_HEADER]: sha256(nextRunnerCredential(session.runnerToken, 'b'.repeat(64))),
    },
    id,
  );
  if (connection === null) throw new Error('the runner was refused');
  const welcome = ControlToRunnerFrame.parse(
    await plane.send('runner', connection, {
      type: 'hello',
      runnerId: 'runner-1',
      runnerVersion: '0.1.0',
      buildId: 'shell-1',
      protocol: 1,
      dial: 1,
      clis: { shell: '5.2' },
      isolation: 'shared_uid',
      sessions: [],
    }),
  );
  const assign = ControlToRunnerFrame.parse(plane.posts.at(-1)?.frame);
  if (assign.type !== 'assign') throw new Error('not assigned');
  const ref = { tenantId: 'acme', sessionId: session.sessionId };
  return { connection, ref, welcome, assign, capability: assign.capability };
};
export const state = (fromState: string, toState: string) =>
  ({ type: 'session_state_changed', fromState, toState, reason: null }) as never;
export const toRunning = [
  state('created', 'preparing_workspace'),
  state('preparing_workspace', 'starting_provider'),
  state('starting_provider', 'running'),
];
