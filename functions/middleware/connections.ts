/** Who is on a WebSocket connection, out of the authorizer's context that rides with every message. */
import { z } from 'zod';
import { AppError } from '../../shared/errors.ts';
import { TenantId, UserId } from '../../shared/ids.ts';
import { RunnerScope } from '../../shared/runner-credential.ts';
import type { RunnerConnection } from '../runners/handle-runner-frame.ts';
import type { ViewerConnection } from '../streams/handle-viewer-frame.ts';
import type { SocketEvent } from './websocket.ts';

const Viewer = z.object({ tenantId: TenantId, userId: UserId });
/** Numbers become text in a WebSocket authorizer's context. */
const Runner = z.object({ ...RunnerScope.shape, epoch: z.coerce.number().pipe(RunnerScope.shape.epoch) });

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
