/** The S3 of the local platform: objects on disk behind the wire protocol the AWS SDK speaks, with real signature checks. */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { closeServer, listenOnLoopback } from '../loopback-server.ts';
import { addCorsHeaders, answerPreflight } from './cors.ts';
import { getObject } from './get-object.ts';
import { listObjects } from './list-objects.ts';
import { isBucketName, ObjectStore } from './object-store.ts';
import { conditionOf, putObject, throwConditionFault } from './put-object.ts';
import { errorXml, S3Error } from './s3-error.ts';
import { OBJECT_MAX_BYTES } from './s3-limits.ts';
import { parseRequest, type VerifiedRequest, verifyRequest } from './s3-request.ts';

export interface S3Options {
  /** Where buckets live; made when absent. One process at a time. */
  dir: string;
  accessKeyId: string;
  secretAccessKey: string;
  region: string;
  /** Milliseconds since 1970: dates of objects, skew and expiry of signatures. */
  now: () => number;
  /** Origins of the village page, such as `http://127.0.0.1:4310`. */
  allowedOrigins: readonly string[];
  /** Absent or 0: any free port. */
  port?: number;
  /** Buckets that must exist. */
  buckets?: readonly string[];
  /** Largest object; default OBJECT_MAX_BYTES. */
  maxObjectBytes?: number;
  /** Told of damaged files and unknown failures. */
  warn?: (message: string) => void;
}

export interface RunningS3 {
  endpoint: string;
  port: number;
  /** Replaces the origins, for a page whose port is known only later. */
  setAllowedOrigins(origins: readonly string[]): void;
  stop(): Promise<void>;
}

/** Longer than SDK clients keep an idle socket, so that it is not closed just as they reuse it. */
const KEEP_ALIVE_MS = 60_000;

interface Context {
  store: ObjectStore;
  options: S3Options;
  origins: Set<string>;
  warn: (message: string) => void;
}

/** Sub-resources (?acl, ?uploads, …) that change what a request means; silently ignoring one would store the wrong thing. */
const SUBRESOURCES = [
  'acl',
  'cors',
  'delete',
  'lifecycle',
  'location',
  'partNumber',
  'policy',
  'tagging',
  'uploadId',
  'uploads',
  'versionId',
  'versioning',
  'versions',
];

const UNKNOWN_HEADERS = [
  'x-amz-copy-source',
  'x-amz-object-lock-',
  'x-amz-server-side-encryption-customer-',
  'x-amz-tagging',
  'x-amz-website-redirect-location',
];

function refuseUnknown(request: VerifiedRequest): void {
  const sub = SUBRESOURCES.find((name) => request.params.has(name));
  if (sub !== undefined) throw new S3Error('NotImplemented', `?${sub} is not answered here.`);
  const header = UNKNOWN_HEADERS.find((prefix) => Object.keys(request.headers).some((name) => name.startsWith(prefix)));
  if (header !== undefined) throw new S3Error('NotImplemented', `${header} is not answered here.`);
}

function sendXml(response: ServerResponse, xml: string): void {
  response.writeHead(200, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(xml) }).end(xml);
}

function handleBucket(context: Context, request: VerifiedRequest, response: ServerResponse): void {
  const { store, options } = context;
  if (request.method === 'PUT') {
    if (!isBucketName(request.bucket)) throw new S3Error('InvalidBucketName', 'The specified bucket is not valid.');
    // us-east-1 keeps S3's oldest behaviour: making one's own bucket again succeeds.
    if (!store.createBucket(request.bucket) && options.region !== 'us-east-1') {
      throw new S3Error(
        'BucketAlreadyOwnedByYou',
        'Your previous request to create the named bucket succeeded and you already own it.',
      );
    }
    response.writeHead(200, { location: `/${request.bucket}`, 'content-length': '0' }).end();
    return;
  }
  if (!store.hasBucket(request.bucket))
    throw new S3Error('NoSuchBucket', 'The specified bucket does not exist', { BucketName: request.bucket });
  if (request.method === 'GET') {
    sendXml(response, listObjects(store, request));
  } else if (request.method === 'HEAD') {
    response.writeHead(200, { 'x-amz-bucket-region': options.region, 'content-length': '0' }).end();
  } else {
    throw new S3Error('MethodNotAllowed', 'The specified method is not allowed against this resource.');
  }
}

async function handleObject(
  context: Context,
  request: VerifiedRequest,
  body: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { store, options } = context;
  if (!store.hasBucket(request.bucket))
    throw new S3Error('NoSuchBucket', 'The specified bucket does not exist', { BucketName: request.bucket });
  switch (request.method) {
    case 'GET':
    case 'HEAD':
      return getObject(store, request, response);
    case 'PUT': {
      // A refused body must not take the connection, and with it the answer, along.
      const bytes = body.iterator({ destroyOnReturn: false });
      const stored = await putObject(store, request, bytes, options.now(), options.maxObjectBytes ?? OBJECT_MAX_BYTES);
      const checksums = Object.entries(stored.checksums).map(([name, value]) => [`x-amz-checksum-${name}`, value]);
      response
        .writeHead(200, { ...Object.fromEntries(checksums), etag: `"${stored.etag}"`, 'content-length': '0' })
        .end();
      return;
    }
    case 'DELETE':
      throwConditionFault(store.delete(request.bucket, request.key, conditionOf(request.headers)));
      response.writeHead(204).end();
      return;
    default:
      throw new S3Error('MethodNotAllowed', 'The specified method is not allowed against this resource.');
  }
}

async function handle(context: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  addCorsHeaders(request, response, context.origins);
  if (request.method === 'OPTIONS') return answerPreflight(request, response, context.origins);
  const { options } = context;
  const identity = {
    accessKeyId: options.accessKeyId,
    secretAccessKey: options.secretAccessKey,
    region: options.region,
    service: 's3',
  };
  const parsed = parseRequest(request.method ?? 'GET', request.url ?? '/', request.headers);
  const verified = verifyRequest(parsed, identity, options.now());
  refuseUnknown(verified);
  if (verified.bucket === '') throw new S3Error('NotImplemented', 'Buckets are not listed here.');
  if (verified.key === '') return handleBucket(context, verified, response);
  return handleObject(context, verified, request, response);
}

function sendError(
  context: Context,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
  error: unknown,
): void {
  const known =
    error instanceof S3Error
      ? error
      : new S3Error('InternalError', 'We encountered an internal error. Please try again.');
  // The client left in the middle of its own request or answer: there is nobody to tell, and nothing is wrong here.
  const clientLeft = request.errored !== null || response.destroyed;
  if (known !== error && !clientLeft)
    context.warn(
      `s3: ${request.method} failed (${requestId}): ${error instanceof Error ? error.stack : String(error)}`,
    );
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const xml = request.method === 'HEAD' ? '' : errorXml(known, (request.url ?? '/').split('?')[0] ?? '/', requestId);
  // What is far too large is not worth reading to its end.
  if (known.code === 'EntityTooLarge') response.setHeader('connection', 'close');
  response.writeHead(known.status, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(xml) });
  response.end(xml);
  // Reads what is still coming, so that the client sees the answer instead of a reset; the connection itself is bounded by requestTimeout.
  request.resume();
}

/** Starts the emulator on 127.0.0.1. Rejects when the directory cannot be used or the port is taken. */
export async function startS3(options: S3Options): Promise<RunningS3> {
  const warn = options.warn ?? ((message: string) => process.emitWarning(message));
  const store = await ObjectStore.open(options.dir, warn);
  for (const bucket of options.buckets ?? []) store.createBucket(bucket);
  const context: Context = { store, options, origins: new Set(options.allowedOrigins), warn };
  const server = createServer((request, response) => {
    const requestId = randomUUID();
    response.setHeader('x-amz-request-id', requestId);
    handle(context, request, response).catch((error: unknown) =>
      sendError(context, request, response, requestId, error),
    );
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  const port = await listenOnLoopback(server, options.port);
  return {
    endpoint: `http://127.0.0.1:${port}`,
    port,
    setAllowedOrigins: (origins) => {
      context.origins = new Set(origins);
    },
    stop: () => closeServer(server),
  };
}
