/** PostToConnection behind the ConnectionSender port. */
import {
  type ApiGatewayManagementApiClient,
  GoneException,
  LimitExceededException,
  PayloadTooLargeException,
  PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi';
import type { ConnectionSender } from '../sessions/ports.ts';

export const managementSender = <F>(client: ApiGatewayManagementApiClient): ConnectionSender<F> => ({
  post: async (connectionId, frame) => {
    try {
      await client.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: JSON.stringify(frame) }));
      return 'sent';
    } catch (error) {
      if (error instanceof GoneException) return 'gone';
      if (error instanceof LimitExceededException) return 'slow';
      if (error instanceof PayloadTooLargeException) return 'too_large';
      throw error;
    }
  },
});
