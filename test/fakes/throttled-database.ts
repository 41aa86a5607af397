/** The embedded database behind an HTTP front that refuses work as DynamoDB does when a table is throttled. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { startDynamodb } from '../../local/dynamodb/dynoxide.ts';

/** What a throttled table still answers: nothing that reads or writes items. */
const CONTROL_PLANE = /\.(ListTables|DescribeTable|CreateTable|UpdateTable|DescribeTimeToLive|UpdateTimeToLive)$/;

export interface ThrottledDatabase {
  /** For `--dynamodb-endpoint`. */
  readonly endpoint: string;
  /** The database itself, past the front. */
  readonly direct: string;
  throttle(isOn: boolean): void;
  /** Calls refused so far. */
  refused(): number;
  close(): Promise<void>;
}

export const throttledDatabase = async (dir: string): Promise<ThrottledDatabase> => {
  const started = await startDynamodb({ dir });
  if (!started.ok) throw new Error(started.message);
  const { dynamodb } = started;
  let isThrottled = false;
  let refused = 0;
  const server = createServer((incoming, answer) => {
    const target = String(incoming.headers['x-amz-target'] ?? '');
    if (isThrottled && !CONTROL_PLANE.test(target)) {
      refused += 1;
      incoming.resume();
      const type = 'com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException';
      answer.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
      answer.end(
        JSON.stringify({ __type: type, message: 'The level of configured provisioned throughput was exceeded' }),
      );
      return;
    }
    const { method, headers, url: path } = incoming;
    const forwarded = request({ host: '127.0.0.1', port: dynamodb.port, method, path, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
    });
    forwarded.on('error', () => answer.destroy());
    incoming.pipe(forwarded);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    direct: dynamodb.endpoint,
    throttle: (isOn) => {
      isThrottled = isOn;
    },
    refused: () => refused,
    async close() {
      server.closeAllConnections();
      server.close();
      await dynamodb.stop();
    },
  };
};
