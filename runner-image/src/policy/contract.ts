/** The question every gate asks before a tool runs, and its possible answers. */
import type { ApprovalCategory } from '../../../shared/policy.ts';

export interface ToolCall {
  readonly toolName: string;
  /** As the CLI gave it: not to be trusted. */
  readonly input: unknown;
  /** The folder the tool runs in, as the CLI gave it. */
  readonly cwd: string;
}

export type ToolVerdict =
  | { readonly kind: 'allow' }
  | { readonly kind: 'deny'; readonly rule: string; readonly reason: string }
  /** A person decides; a gate without approvals treats it as a deny. */
  | { readonly kind: 'ask'; readonly category: ApprovalCategory; readonly reason: string };

export interface ToolPolicy {
  /** Answers without waiting for a person. A throw counts as a deny. */
  decide(call: ToolCall): ToolVerdict;
}
