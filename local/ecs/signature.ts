/** Checks who calls: any process of the machine can reach the port, and RunTask starts programs. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { verifySignature } from '../s3/sigv4.ts';
import { EcsError } from './ecs-error.ts';

export interface CallerIdentity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

/** Throws UnrecognizedClientException or InvalidSignatureException, as AWS does. */
export const requireSignature = (
  request: IncomingMessage,
  body: Buffer,
  identity: CallerIdentity,
  nowMs: number,
): void => {
  const headers = Object.entries(request.headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.join(',') : (value ?? ''),
  ]);
  // The SDK does not send the digest for JSON services; it is part of what was signed all the same.
  const digest = { 'x-amz-content-sha256': createHash('sha256').update(body).digest('hex') };
  const signed = { method: 'POST', rawPath: '/', query: [], headers: { ...Object.fromEntries(headers), ...digest } };
  const verdict = verifySignature(signed, { ...identity, service: 'ecs' }, nowMs);
  if (verdict.ok) return;
  const isUnknown = verdict.code === 'InvalidAccessKeyId' || verdict.code === 'InvalidToken';
  throw new EcsError(isUnknown ? 'UnrecognizedClientException' : 'InvalidSignatureException', verdict.message);
};
