/** The far end of what a bench measures, in a process of its own: `node hop-peer.ts pty-host`, `… post` or `… post-to-all`. */
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';
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

type Answer = (client: ApiGatewayManagementApiClient) => (connectionId: string, body: string) => Promise<unknown>;

/** Back to where it came from, by the product's own sender. */
const answerOne: Answer = (client) => {
  const sender = managementSender(client);
  return (connectionId, body) => sender.post(connectionId, JSON.parse(body));
};

/** To everybody who ever said something, by the SDK as it comes. A `join` is only remembered. */
const answerAll: Answer = (client) => {
  const known = new Set<string>();
  return async (connectionId, body) => {
    known.add(connectionId);
    if (body.includes('"join"')) return;
    const data = Buffer.from(body);
    await Promise.all(
      [...known].map((id) => client.send(new PostToConnectionCommand({ ConnectionId: id, Data: data }))),
    );
  };
};

/** A gateway whose only function answers each message. */
const servePosts = async (answerWith: Answer): Promise<void> => {
  let answer: ReturnType<Answer> | undefined;
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
        if (requestContext.eventType === 'MESSAGE') await answer?.(requestContext.connectionId, body ?? 'null');
        return { ok: true, payload: { statusCode: 200 } };
      },
    },
  });
  const endpoint = gateway.managementEndpoints.echo ?? '';
  answer = answerWith(new ApiGatewayManagementApiClient({ endpoint, region: 'us-east-1', credentials }));
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

const role = process.argv[2];
if (role === 'post') await servePosts(answerOne);
else if (role === 'post-to-all') await servePosts(answerAll);
else await servePtys();
