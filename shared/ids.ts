/** Identifiers and their shapes: an id that does not parse never reaches a key. */
import { z } from 'zod';

const ULID = '[0-9A-HJKMNP-TV-Z]{26}';
const prefixed = (prefix: string) =>
  z.string().regex(new RegExp(`^${prefix}_${ULID}$`), `expected ${prefix}_ and a ULID`);

export const TenantId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,40}$/);
export const UserId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,60}$/);
export const SessionId = prefixed('ses');
export const AgentId = prefixed('agt');
export const RunnerId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$/);
export const ApprovalId = prefixed('apr');
export const BuildId = z.string().regex(/^[a-z0-9][a-z0-9._@+-]{0,120}$/);
/** Stable over reconnects, chosen by the viewer. */
export const ViewerId = z.string().regex(/^[A-Za-z0-9_-]{4,64}$/);
export const Epoch = z.int().min(1);
export const Rev = z.int().min(0);
export const OffsetBytes = z.int().min(0);
export const TimestampMs = z.int().min(0);

export type SessionId = z.infer<typeof SessionId>;
export type TenantId = z.infer<typeof TenantId>;
