/** Secrets Manager of the local platform: JSON 1.1 on loopback. Signatures are checked, for any process of the machine can reach the port. */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { closeServer, listenOnLoopback } from '../loopback-server.ts';
import { type SignatureFault, verifySignature } from '../s3/sigv4.ts';
import { SecretStore } from './secret-store.ts';
import { callSecrets, ensureSecret, type SecretsContext, SecretsError } from './secrets-api.ts';

/** Larger request bodies are refused; a value may have 64 KiB, six times that when JSON escapes it. */
const BODY_MAX_BYTES = 400 * 1024;

/** Longer than SDK clients keep an idle socket, so that it is not closed just as they reuse it. */
const KEEP_ALIVE_MS = 60_000;

export interface SecretsOptions {
  /** The one file that holds everything; kept at mode 0600. */
  file: string;
  accessKeyId: string;
  secretAccessKey: string;
  region: string;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Absent or 0: any free port. */
  port?: number;
  /** Told of unknown failures. */
  warn?: (message: string) => void;
}

export interface RunningSecrets {
  endpoint: string;
  port: number;
  /** The current value of `name`; made by `makeValue` and stored where there is none. */
  ensure(name: string, makeValue: () => string): Promise<string>;
  stop(): Promise<void>;
}

const SIGNATURE_ERRORS: Partial<Record<SignatureFault, string>> = {
  SignatureDoesNotMatch: 'InvalidSignatureException',
  RequestTimeTooSkewed: 'InvalidSignatureException',
  InvalidAccessKeyId: 'UnrecognizedClientException',
  InvalidToken: 'UnrecognizedClientException',
};

function send(response: ServerResponse, status: number, body: unknown, errorType?: string): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/x-amz-json-1.1',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    ...(errorType ? { 'x-amzn-errortype': errorType } : {}),
  });
  response.end(text);
}

const sendError = (response: ServerResponse, status: number, type: string, message: string): void =>
  send(response, status, { __type: type, message }, type);

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const part of request.iterator({ destroyOnReturn: false })) {
    sizeBytes += part.length;
    if (sizeBytes > BODY_MAX_BYTES) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    throw new SecretsError('InvalidParameterException', 'The body is not JSON.');
  }
}

function checkSignature(request: IncomingMessage, body: Buffer, options: SecretsOptions) {
  const headers = Object.entries(request.headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(',') : (value ?? ''),
  ]);
  const payload = { 'x-amz-content-sha256': createHash('sha256').update(body).digest('hex') };
  const signed = {
    method: request.method ?? '',
    rawPath: '/',
    query: [],
    headers: { ...Object.fromEntries(headers), ...payload },
  };
  return verifySignature(signed, { ...options, service: 'secretsmanager' }, options.now());
}

async function handle(
  context: SecretsContext,
  options: SecretsOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'POST' || request.url !== '/')
    return sendError(response, 404, 'UnknownOperationException', 'Only POST / is answered here.');
  const body = await readBody(request);
  if (!body) {
    response.setHeader('connection', 'close');
    return sendError(response, 413, 'RequestEntityTooLarge', 'The request is too large.');
  }
  const verdict = checkSignature(request, body, options);
  if (!verdict.ok)
    return sendError(response, 403, SIGNATURE_ERRORS[verdict.code] ?? 'AccessDeniedException', verdict.message);
  const target = request.headers['x-amz-target'];
  send(response, 200, await callSecrets(context, typeof target === 'string' ? target : '', parseJson(body)));
}

/** Starts the emulator on 127.0.0.1. Rejects when the file is there but cannot be understood, or the port is taken. */
export async function startSecrets(options: SecretsOptions): Promise<RunningSecrets> {
  const warn = options.warn ?? ((message: string) => process.emitWarning(message));
  const context: SecretsContext = {
    store: await SecretStore.open(options.file),
    region: options.region,
    now: options.now,
  };
  const server = createServer((request, response) => {
    response.setHeader('x-amzn-requestid', randomUUID());
    handle(context, options, request, response).catch((error: unknown) => {
      if (response.destroyed || response.headersSent) return;
      if (error instanceof SecretsError) return sendError(response, 400, error.code, error.message);
      warn(
        `secrets: ${request.headers['x-amz-target']} failed: ${error instanceof Error ? error.stack : String(error)}`,
      );
      sendError(response, 500, 'InternalServiceError', 'An error occurred on the server side.');
    });
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  const port = await listenOnLoopback(server, options.port);
  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    ensure: (name, makeValue) => ensureSecret(context, name, makeValue),
    stop: () => closeServer(server),
  };
}
