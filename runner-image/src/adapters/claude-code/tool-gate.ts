/** Answers each tool call by policy and watches that no tool runs without such an answer. */
import type { ToolPolicy, ToolVerdict } from '../../policy/contract.ts';
import type { ProviderEvent } from '../contract.ts';
import { commandOf, type HookOf, permissionAnswer, summaryOf, writtenPathOf } from './hook-input.ts';

/** Calls that were allowed and have not come back; beyond it the oldest is forgotten, and its return then counts as ungated. */
const OPEN_CALLS_MAX = 1_000;

export interface ToolGate {
  /** The answer for the CLI. */
  ask(hook: HookOf<'PreToolUse'>): string;
  /** Why the gate is lost, if this tool ran although it was not allowed. */
  finished(hook: HookOf<'PostToolUse'> | HookOf<'PostToolUseFailure'>): string | undefined;
}

interface GateOptions {
  readonly policy: ToolPolicy;
  readonly emit: (event: ProviderEvent) => void;
  readonly nowMs: () => number;
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

export function toolGate({ policy, emit, nowMs }: GateOptions): ToolGate {
  const allowedAtMs = new Map<string, number>();

  const ask: ToolGate['ask'] = (hook) => {
    const named = { toolUseId: hook.tool_use_id, toolName: hook.tool_name };
    const summary = summaryOf(hook.tool_name, hook.tool_input);
    emit({ type: 'TOOL_REQUESTED', ...named, summary });
    const verdict = verdictOf(policy, hook);
    if (verdict.kind === 'deny') {
      emit({ type: 'TOOL_DENIED', ...named, rule: verdict.rule, reason: verdict.reason });
      return permissionAnswer('deny', `${verdict.reason} (rule ${verdict.rule})`);
    }
    const oldest = allowedAtMs.keys().next();
    if (allowedAtMs.size >= OPEN_CALLS_MAX && oldest.done !== true) allowedAtMs.delete(oldest.value);
    allowedAtMs.set(hook.tool_use_id, nowMs());
    emit({ type: 'TOOL_STARTED', ...named, summary });
    return permissionAnswer('allow', 'allowed by the policy');
  };

  const finished: ToolGate['finished'] = (hook) => {
    const startedAtMs = allowedAtMs.get(hook.tool_use_id);
    const ok = hook.hook_event_name === 'PostToolUse';
    if (startedAtMs === undefined) {
      // A call that failed before it ran may never have been asked for.
      return ok ? `the tool ${hook.tool_name} ran without an answer of the gate` : undefined;
    }
    allowedAtMs.delete(hook.tool_use_id);
    const tookMs = Math.max(0, Math.round(hook.duration_ms ?? nowMs() - startedAtMs));
    emit({ type: 'TOOL_FINISHED', toolUseId: hook.tool_use_id, toolName: hook.tool_name, ok, tookMs });
    const path = writtenPathOf(hook.tool_name, hook.tool_input);
    if (path !== undefined && ok) emit({ type: 'HINT_FILES_TOUCHED', paths: [path] });
    const command = hook.tool_name === 'Bash' ? commandOf(hook.tool_input) : undefined;
    if (command !== undefined) emit({ type: 'HINT_COMMAND_EXECUTED', command, exitCode: exitCodeOf(hook), tookMs });
    if (path !== undefined || command !== undefined) emit({ type: 'HINT_DIFF_AVAILABLE' });
    return undefined;
  };
  return { ask, finished };
}

/** A command that ended with 0 is reported as used, any other as failed with its code in the text. */
function exitCodeOf(hook: HookOf<'PostToolUse'> | HookOf<'PostToolUseFailure'>): number | null {
  if (hook.hook_event_name === 'PostToolUse') return 0;
  const code = /^Exit code (\d{1,3})\b/.exec(hook.error ?? '')?.[1];
  return code === undefined ? null : Number(code);
}
