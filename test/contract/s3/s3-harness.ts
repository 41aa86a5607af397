/** A throw-away S3 emulator and an SDK client that reaches it as handlers do: through AWS_ENDPOINT_URL_S3. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { type RunningS3, type S3Options, startS3 } from '../../../local/s3/server.ts';

export const BUCKET = 'transcripts';
export const ORIGIN = 'http://127.0.0.1:4310';
export const KEYS = { accessKeyId: 'AKIDVILLAGE', secretAccessKey: 'a-secret-for-tests' };

export interface S3Harness {
  dir: string;
  s3: RunningS3;
  client: S3Client;
  warnings: string[];
  clock: { skewMs: number };
  newClient(config?: S3ClientConfig): S3Client;
  restart(options?: Partial<S3Options>): Promise<void>;
  stop(): Promise<void>;
}

export async function s3Harness(options: Partial<S3Options> = {}): Promise<S3Harness> {
  const dir = await mkdtemp(join(tmpdir(), 'village-s3-'));
  const clock = { skewMs: 0 };
  const warnings: string[] = [];
  const start = (more: Partial<S3Options>) =>
    startS3({
      dir,
      ...KEYS,
      region: 'us-east-1',
      now: () => Date.now() + clock.skewMs,
      allowedOrigins: [ORIGIN],
      buckets: [BUCKET],
      warn: (message) => warnings.push(message),
      ...more,
    });
  const newClient = (config: S3ClientConfig = {}): S3Client => {
    process.env.AWS_ENDPOINT_URL_S3 = harness.s3.endpoint;
    return new S3Client({ region: 'us-east-1', credentials: KEYS, maxAttempts: 1, ...config });
  };
  const harness: S3Harness = {
    dir,
    s3: await start(options),
    client: new S3Client({}),
    warnings,
    clock,
    newClient,
    restart: async (more = {}) => {
      await harness.s3.stop();
      harness.s3 = await start({ ...options, ...more });
      harness.client = newClient();
    },
    stop: async () => {
      await harness.s3.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  harness.client = newClient();
  return harness;
}

/** The error a call rejects with, as name and HTTP status. */
export async function failure(call: Promise<unknown>): Promise<{ name: string; status: number | undefined }> {
  try {
    await call;
  } catch (error) {
    const known = error as { name: string; $metadata?: { httpStatusCode?: number } };
    return { name: known.name, status: known.$metadata?.httpStatusCode };
  }
  throw new Error('the call was expected to fail');
}
