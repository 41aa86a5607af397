import { spawn } from 'node:child_process';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createErrorReport, DsnText, NO_ERROR_REPORT } from '../../../../runner-image/src/health/error-report.ts';
import { systemClock, systemRandom } from '../../../../shared/clock.ts';
import { ERROR_REPORT_MAX_CHARS, ERROR_REPORTS_MAX } from '../../../../shared/limits.ts';

interface Received {
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly lines: readonly unknown[];
}
const Event = z.looseObject({
  event_id: z.string().regex(/^[0-9a-f]{32}$/),
  timestamp: z.number(),
  level: z.string(),
  release: z.string(),
  message: z.object({ formatted: z.string() }),
  exception: z
    .object({
      values: z.array(
        z.object({
          type: z.string(),
          value: z.string(),
          stacktrace: z
            .object({ frames: z.array(z.looseObject({ filename: z.string(), lineno: z.number() })) })
            .optional(),
        }),
      ),
    })
    .optional(),
});

let server: Server;
let received: Received[];
let status: number;
/** Answers wait for it. */
let gate: Promise<void>;

beforeEach(async () => {
  received = [];
  status = 200;
  gate = Promise.resolve();
  server = createServer((request, response) => {
    void text(request).then(async (body) => {
      const lines = body
        .trimEnd()
        .split('\n')
        .map((line): unknown => JSON.parse(line));
      received.push({ url: request.url, headers: request.headers, lines });
      await gate;
      response.writeHead(status).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const port = (): number => z.object({ port: z.int() }).parse(server.address()).port;
const dsnText = (): string => `http://public-key@127.0.0.1:${port()}/base/42`;
const reports = (secrets: string[] = []) =>
  createErrorReport({
    ...{ dsn: DsnText.parse(dsnText()), release: '1.2.3', build: 'b-1', secrets },
    ...{ clock: systemClock, random: systemRandom },
  });
const eventOf = ({ lines }: Received) => Event.parse(lines[2]);

describe('error reports', () => {
  it('are Sentry envelopes with message, stack and release', async () => {
    const report = reports();
    report.report('the diff could not be made', new TypeError('x is not a function'));
    await report.settled();
    expect(received).toHaveLength(1);
    const [first] = received as [Received];
    expect(first.url).toBe('/base/api/42/envelope/');
    expect(first.headers).toMatchObject({
      'content-type': 'application/x-sentry-envelope',
      'x-sentry-auth': expect.stringContaining('sentry_key=public-key'),
    });
    const event = eventOf(first);
    expect(first.lines[0]).toMatchObject({ event_id: event.event_id });
    expect(first.lines[1]).toEqual({ type: 'event' });
    expect(event).toMatchObject({
      level: 'error',
      release: '1.2.3',
      message: { formatted: 'the diff could not be made' },
    });
    const [exception] = event.exception?.values ?? [];
    expect(exception).toMatchObject({ type: 'TypeError', value: 'x is not a function' });
    // The protocol wants the place of the error last.
    expect(exception?.stacktrace?.frames.at(-1)?.filename).toContain('error-report.test.ts');
  });

  it.each([
    ['a known secret', 'pa55word!', 'refused with pa55word!'],
    ['credentials in an address', 'me:hunter2', 'no access to https://me:hunter2@git.example/x'],
    ['a query', 'X-Amz-Signature', 'PUT https://s3.example/key?X-Amz-Signature=abc failed'],
    ['a bearer token', 'short-token', 'sent Authorization: Bearer short-token'],
    ['a long token', 'k'.repeat(40), `key ${'k'.repeat(40)} is invalid`],
  ])('hide %s, in message and stack', async (_, secret, message) => {
    const report = reports(['pa55word!']);
    report.report(message, new Error(message));
    report.report('unusual', message);
    await report.settled();
    expect(received).toHaveLength(2);
    expect(JSON.stringify(received.map(({ lines }) => lines))).not.toContain(secret);
  });

  it('are cut, and carry no more than a message without an error', async () => {
    const report = reports();
    report.report('a '.repeat(ERROR_REPORT_MAX_CHARS), undefined);
    await report.settled();
    const event = eventOf(received[0] as Received);
    expect(event.message.formatted).toHaveLength(ERROR_REPORT_MAX_CHARS);
    expect(event.exception).toBeUndefined();
  });

  it('are dropped beyond the queue, and tried once', async () => {
    const open = Promise.withResolvers<void>();
    gate = open.promise;
    status = 503;
    const report = reports();
    for (let index = 0; index < ERROR_REPORTS_MAX + 5; index += 1) report.report(`error ${index}`, undefined);
    open.resolve();
    await report.settled();
    expect(received.map((one) => eventOf(one).message.formatted)).toEqual(
      Array.from({ length: ERROR_REPORTS_MAX }, (_, index) => `error ${index}`),
    );
    report.report('later', undefined);
    await report.settled();
    expect(received).toHaveLength(ERROR_REPORTS_MAX + 1);
  });

  it('never fail, whoever is not there', async () => {
    const report = reports();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    report.report('nobody hears it', new Error('x'));
    await expect(report.settled()).resolves.toBeUndefined();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    NO_ERROR_REPORT.report('nothing', undefined);
    await NO_ERROR_REPORT.settled();
    expect(received).toEqual([]);
  });

  it('of a crash are sent before the process goes on', async () => {
    const source = fileURLToPath(new URL('../../../../runner-image/src/health/error-report.ts', import.meta.url));
    const clock = fileURLToPath(new URL('../../../../shared/clock.ts', import.meta.url));
    const program = `
      import { createErrorReport, DsnText } from ${JSON.stringify(source)};
      import { systemClock, systemRandom } from ${JSON.stringify(clock)};
      const dsn = DsnText.parse(${JSON.stringify(dsnText())});
      const report = createErrorReport({ dsn, release: '9', build: 'b', clock: systemClock, random: systemRandom, secrets: [] });
      process.on('uncaughtException', (error) => { report.reportCrash(error); process.exit(3); });
      throw new RangeError('out of range');
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      env: {},
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const [code, complaint] = await Promise.all([
      new Promise((resolve) => child.once('exit', resolve)),
      text(child.stderr),
    ]);
    expect({ code, complaint }).toEqual({ code: 3, complaint: '' });
    expect(eventOf(received[0] as Received)).toMatchObject({
      level: 'fatal',
      exception: { values: [{ type: 'RangeError', value: 'out of range' }] },
    });
  });
});
