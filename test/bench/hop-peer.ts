/** The far end of one hop of the echo bench, in a process of its own: `node hop-peer.ts pty-host` or `node hop-peer.ts post`. */
import { ApiGatewayManagementApiClient } from '@aws-sdk/client-apigatewaymanagementapi';
import { z } from 'zod';
import { managementSender } from '../../functions/aws/management-sender.ts';
import { startGateway } from '../../local/gateway/server.ts';
import { startPtyServer } from '../../runner-image/src/pty-host/server.ts';
import { systemClock, systemRandom } from '../../shared/clock.ts';

/** Ends with its parent (the other end of standard input) or when the bench says so, and leaves nothing behind. */
const untilParentEnds = (close: () => Promise<unknown>): void => {
  const end = () => void close().finally(() => process.exit(0));
  process.stdin.on('end', end).resume();
  process.once('SIGTERM', end);
};

const Message = z.object({
  body: z.string().optional(),
  requestContext: z.object({ connectionId: z.string(), eventType: z.string() }),
});

/** A gateway whose only function posts each message back to its connection. */
const servePosts = async (): Promise<void> => {
  let sender: ReturnType<typeof managementSender<unknown>> | undefined;
  const credentials = { accessKeyId: 'bench', secretAccessKey: 'bench' };
  const gateway = await startGateway({
    port: 0,
    caller: { ...credentials, region: 'us-east-1' },
    httpRoutes: [],
    webSocketApis: [
      {
        name: 'echo',
        path: '/ws/viewer',
        routeSelectionExpression: '$request.body.type',
        identitySource: 'route.request.header.Authorization',
        authorizer: null,
        throttle: { ratePerSecond: 100_000, burst: 100_000 },
        routes: [{ key: '$default', function: 'echo', routeResponse: false }],
      },
    ],
    lambda: {
      invoke: async (_name, event) => {
        const { body, requestContext } = Message.parse(event);
        if (requestContext.eventType === 'MESSAGE')
          await sender?.post(requestContext.connectionId, JSON.parse(body ?? 'null'));
        return { ok: true, payload: { statusCode: 200 } };
      },
    },
  });
  const endpoint = gateway.managementEndpoints.echo ?? '';
  sender = managementSender(new ApiGatewayManagementApiClient({ endpoint, region: 'us-east-1', credentials }));
  untilParentEnds(() => gateway.stop());
  process.stdout.write(`${gateway.port}\n`);
};

const servePtys = async (): Promise<void> => {
  const server = await startPtyServer(systemClock, systemRandom);
  untilParentEnds(async () => {
    await server.killAll(0);
    server.close();
  });
  process.stdout.write(`${server.socketPath}\n`);
};

await (process.argv[2] === 'post' ? servePosts() : servePtys());
