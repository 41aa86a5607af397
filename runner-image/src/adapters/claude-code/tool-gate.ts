/** Answers each tool call by policy and watches that no tool runs without such an answer. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { ToolPolicy, ToolVerdict } from '../../policy/contract.ts';
import type { ProviderEvent } from '../contract.ts';
import { commandOf, type HookOf, permissionAnswer, summaryOf, writtenPathOf } from './hook-input.ts';

/** Calls that were answered and have not come back; beyond it the oldest is forgotten, and its return then counts as ungated. */
const OPEN_CALLS_MAX = 1_000;
/** Denied calls do not come back: so many are remembered in case one is asked again. */
const DENIED_CALLS_MAX = 32;

const Call = z.strictObject({
  toolUseId: z.string(),
  /** Of tool, input and folder: another call under the same id is judged anew. */
  digest: z.string(),
  answer: z.string(),
  /** When it was allowed; `null` for a denied one. */
  allowedAtMs: z.int().nullable(),
});
type Call = z.infer<typeof Call>;
export const SavedCalls = z.array(Call);
export type SavedCalls = z.infer<typeof SavedCalls>;

export interface ToolGate {
  /** The answer for the CLI; a call that is asked again gets the same one, and no second event. */
  ask(hook: HookOf<'PreToolUse'>): string;
  /** Why the gate is lost, if this tool ran although it was not allowed. */
  finished(hook: HookOf<'PostToolUse'> | HookOf<'PostToolUseFailure'>): string | undefined;
  saved(): SavedCalls;
}

interface GateOptions {
  readonly policy: ToolPolicy;
  readonly emit: (event: ProviderEvent) => void;
  readonly nowMs: () => number;
  /** Calls that were answered before a crash of the runner. */
  readonly from?: SavedCalls;
}

function verdictOf(policy: ToolPolicy, hook: HookOf<'PreToolUse'>): ToolVerdict & { kind: 'allow' | 'deny' } {
  try {
    const verdict = policy.decide({ toolName: hook.tool_name, input: hook.tool_input, cwd: hook.cwd });
    if (verdict.kind !== 'ask') return verdict;
    // Without approvals nobody can be asked, and a gate that is not built refuses.
    return {
      kind: 'deny',
      rule: `ask_${verdict.category}`,
      reason: `${verdict.reason}; it needs a person's approval, which is not available yet`,
    };
  } catch (error) {
    return {
      kind: 'deny',
      rule: 'policy_failed',
      reason: `the policy failed: ${error instanceof Error ? error.message : 'unknown'}`,
    };
  }
}

const digestOf = ({ tool_name, tool_input, cwd }: HookOf<'PreToolUse'>): string =>
  createHash('sha256')
    .update(JSON.stringify([tool_name, tool_input, cwd]))
    .digest('hex');

export function toolGate({ policy, emit, nowMs, from = [] }: GateOptions): ToolGate {
  const calls = new Map<string, Call>(from.map((call) => [call.toolUseId, call]));

  const remember = (call: Call): void => {
    const isDenied = call.allowedAtMs === null;
    const alike = [...calls.values()].filter(({ allowedAtMs }) => (allowedAtMs === null) === isDenied);
    const [oldest] = alike;
    if (oldest !== undefined && alike.length >= (isDenied ? DENIED_CALLS_MAX : OPEN_CALLS_MAX))
      calls.delete(oldest.toolUseId);
    calls.set(call.toolUseId, call);
  };

  const ask: ToolGate['ask'] = (hook) => {
    const digest = digestOf(hook);
    const known = calls.get(hook.tool_use_id);
    if (known?.digest === digest) return known.answer;
    const named = { toolUseId: hook.tool_use_id, toolName: hook.tool_name };
    const summary = summaryOf(hook.tool_name, hook.tool_input);
    emit({ type: 'TOOL_REQUESTED', ...named, summary });
    const verdict = verdictOf(policy, hook);
    const call = { toolUseId: hook.tool_use_id, digest };
    if (verdict.kind === 'deny') {
      emit({ type: 'TOOL_DENIED', ...named, rule: verdict.rule, reason: verdict.reason });
      const answer = permissionAnswer('deny', `${verdict.reason} (rule ${verdict.rule})`);
      remember({ ...call, answer, allowedAtMs: null });
      return answer;
    }
    const answer = permissionAnswer('allow', 'allowed by the policy');
    remember({ ...call, answer, allowedAtMs: nowMs() });
    emit({ type: 'TOOL_STARTED', ...named, summary });
    return answer;
  };

  const finished: ToolGate['finished'] = (hook) => {
    const allowedAtMs = calls.get(hook.tool_use_id)?.allowedAtMs ?? undefined;
    const ok = hook.hook_event_name === 'PostToolUse';
    if (allowedAtMs === undefined) {
      // A call that failed before it ran may never have been asked for.
      return ok ? `the tool ${hook.tool_name} ran without an answer of the gate` : undefined;
    }
    calls.delete(hook.tool_use_id);
    const tookMs = Math.max(0, Math.round(hook.duration_ms ?? nowMs() - allowedAtMs));
    emit({ type: 'TOOL_FINISHED', toolUseId: hook.tool_use_id, toolName: hook.tool_name, ok, tookMs });
    const path = writtenPathOf(hook.tool_name, hook.tool_input);
    if (path !== undefined && ok) emit({ type: 'HINT_FILES_TOUCHED', paths: [path] });
    const command = hook.tool_name === 'Bash' ? commandOf(hook.tool_input) : undefined;
    if (command !== undefined) emit({ type: 'HINT_COMMAND_EXECUTED', command, exitCode: exitCodeOf(hook), tookMs });
    if (path !== undefined || command !== undefined) emit({ type: 'HINT_DIFF_AVAILABLE' });
    return undefined;
  };
  return { ask, finished, saved: () => [...calls.values()] };
}

/** A command that ended with 0 is reported as used, any other as failed with its code in the text. */
function exitCodeOf(hook: HookOf<'PostToolUse'> | HookOf<'PostToolUseFailure'>): number | null {
  if (hook.hook_event_name === 'PostToolUse') return 0;
  const code = /^Exit code (\d{1,3})\b/.exec(hook.error ?? '')?.[1];
  return code === undefined ? null : Number(code);
}
