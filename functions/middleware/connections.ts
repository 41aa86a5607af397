/** Who is on a WebSocket connection, out of the authorizer's context that rides with every message. */
import { z } from 'zod';
import { AppError } from '../../shared/errors.ts';
import { TenantId, UserId } from '../../shared/ids.ts';
import { RunnerPrincipal, RunnerScope } from '../../shared/runner-credential.ts';
import type { RunnerConnection } from '../runners/handle-runner-frame.ts';
import type { ViewerConnection } from '../streams/handle-viewer-frame.ts';
import type { SocketEvent } from './websocket.ts';

const Viewer = z.object({ tenantId: TenantId, userId: UserId });
const [SessionRunner, GroupRunner, WarmRunner] = RunnerPrincipal.options;
/** Numbers become text in a WebSocket authorizer's context. */
const Runner = z.preprocess(
  /** A connection older than the kinds is a session's own. */
  (context) => ({ kind: 'session', ...z.looseObject({}).parse(context) }),
  z.discriminatedUnion('kind', [
    z.object({ ...SessionRunner.shape, epoch: z.coerce.number().pipe(RunnerScope.shape.epoch) }),
    z.object(GroupRunner.shape),
    z.object(WarmRunner.shape),
  ]),
);

const parsed = <T>(schema: z.ZodType<T>, event: SocketEvent): T => {
  const result = schema.safeParse(event.requestContext.authorizer ?? {});
  if (!result.success) throw new AppError('invalid_credential', 'The connection has no identity: connect again.');
  return result.data;
};

export const viewerOf = (event: SocketEvent): ViewerConnection => ({
  ...parsed(Viewer, event),
  connectionId: event.requestContext.connectionId,
});
export const runnerOf = (event: SocketEvent): RunnerConnection => ({
  ...parsed(Runner, event),
  connectionId: event.requestContext.connectionId,
});
