/** What an agent may do without a person: the policy's shape and the approval categories. Decisions live in runner-image/src/policy. */
import { z } from 'zod';
import { ApprovalId, Epoch, SessionId, TimestampMs, UserId } from './ids.ts';

export const ApprovalCategory = z.enum([
  'merge',
  'deps_add',
  'secrets',
  'deploy',
  'network',
  'destructive',
  'outside_workspace',
]);
export type ApprovalCategory = z.infer<typeof ApprovalCategory>;

export const RiskLevel = z.enum(['low', 'medium', 'high']);

export const PolicySpec = z.strictObject({
  commandAllow: z.array(z.string().max(500)).max(200).default([]),
  commandDeny: z.array(z.string().max(500)).max(200).default([]),
  requireApproval: z.array(ApprovalCategory).default([...ApprovalCategory.options]),
  writablePaths: z.array(z.string().max(1_024)).max(100).default([]),
  readOnlyPaths: z.array(z.string().max(1_024)).max(100).default([]),
  network: z.enum(['open', 'restricted', 'recorded']).default('restricted'),
  networkAllow: z.array(z.string().max(253)).max(200).default([]),
  protectedBranches: z.array(z.string().max(250)).max(100).default(['main', 'master']),
  budgetMicros: z.int().min(0).nullable().default(null),
  /** `null` waits for ever: an unanswered approval is never silently denied. */
  approvalTimeoutMs: z.int().min(1_000).nullable().default(null),
  onDenial: z.enum(['tell_agent', 'stop']).default('tell_agent'),
});
export type PolicySpec = z.infer<typeof PolicySpec>;

export const ApprovalState = z.enum(['pending', 'approved', 'denied', 'expired', 'cancelled', 'provider_gone']);
export type ApprovalState = z.infer<typeof ApprovalState>;

export const ApprovalRequest = z.strictObject({
  approvalId: ApprovalId,
  category: ApprovalCategory,
  summary: z.string().max(500),
  risk: RiskLevel,
  /** Digest of tool, input and folder: a yes releases exactly this call. */
  callDigest: z.string().regex(/^[0-9a-f]{64}$/),
  cliInstanceId: z.string().max(80),
  context: z.record(z.string(), z.string().max(4_000)),
});
export type ApprovalRequest = z.infer<typeof ApprovalRequest>;

export const ApprovalDecision = z.strictObject({
  approvalId: ApprovalId,
  decision: z.enum(['allow_once', 'allow_session', 'deny', 'deny_and_stop']),
  note: z.string().max(1_000).optional(),
  decidedBy: UserId,
  decidedAtMs: TimestampMs,
});
export type ApprovalDecision = z.infer<typeof ApprovalDecision>;

export const Approval = ApprovalRequest.extend({
  sessionId: SessionId,
  epoch: Epoch,
  state: ApprovalState,
  requestedAtMs: TimestampMs,
  decision: ApprovalDecision.nullable(),
});
export type Approval = z.infer<typeof Approval>;
