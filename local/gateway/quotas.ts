/** What API Gateway refuses or cuts (facts/aws.md), and the caps of our own that keep this process bounded. */
import { AUTHORIZER_CONTEXT_MAX_BYTES, CONNECTION_MAX_MS, FRAME_MAX_BYTES } from '../../shared/limits.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

export interface GatewayQuotas {
  /** One WebSocket message, also of a post; larger closes with 1009, or 413. */
  readonly messageMaxBytes: number;
  /** Payload of one WebSocket frame; larger closes with 1009. */
  readonly frameMaxBytes: number;
  readonly idleMs: number;
  readonly connectionMaxMs: number;
  readonly wsIntegrationMs: number;
  readonly httpIntegrationMs: number;
  readonly httpBodyMaxBytes: number;
  readonly connectsPerSecond: number;
  /** Requests over HTTP, WebSocket and @connections together. */
  readonly requestsPerSecond: number;
  readonly requestsBurst: number;
  readonly authorizerContextMaxBytes: number;
  /** Messages of one connection being handled at once; more wait in the client's socket. */
  readonly messagesInFlightMax: number;
  /** Bytes waiting for one client; a post beyond it gets 429, and the client is not read from until it takes them. */
  readonly sendBufferMaxBytes: number;
  /** Open connections of one API; the next gets 429. */
  readonly connectionsMax: number;
  /** How long `stop` waits for $disconnect and for clients that answer the close. */
  readonly stopGraceMs: number;
}

export const QUOTAS: GatewayQuotas = {
  messageMaxBytes: 128 * KIB,
  frameMaxBytes: FRAME_MAX_BYTES,
  idleMs: 10 * 60_000,
  connectionMaxMs: CONNECTION_MAX_MS,
  wsIntegrationMs: 29_000,
  httpIntegrationMs: 30_000,
  httpBodyMaxBytes: 10 * MIB,
  connectsPerSecond: 500,
  requestsPerSecond: 10_000,
  requestsBurst: 5_000,
  authorizerContextMaxBytes: AUTHORIZER_CONTEXT_MAX_BYTES,
  messagesInFlightMax: 32,
  sendBufferMaxBytes: MIB,
  connectionsMax: 5_000,
  stopGraceMs: 2_000,
};
