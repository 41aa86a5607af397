/** The first policy: inside the workspace yes, listed commands, the network and whatever is unknown no. */
import { z } from 'zod';
import type { ToolCall, ToolPolicy, ToolVerdict } from './contract.ts';
import { deniedCommand } from './deny-command.ts';
import { placeOf } from './path-inside.ts';

export interface PolicyOptions {
  /** Absolute path. */
  readonly workspace: string;
  /** A tenant's own denied command beginnings. */
  readonly commandDeny?: readonly string[];
}

const CommandInput = z.looseObject({ command: z.string().min(1) });

/** What a tool does, and for tools on paths the field that names it; without a value of an optional field the tool works on its folder. */
type ToolKind =
  | { readonly kind: 'path'; readonly field: string; readonly writes: boolean; readonly optional: boolean }
  | { readonly kind: 'command' | 'harmless' | 'network' };

const reads = (field: string, optional = false): ToolKind => ({ kind: 'path', field, writes: false, optional });
const writes = (field: string): ToolKind => ({ kind: 'path', field, writes: true, optional: false });
const harmless: ToolKind = { kind: 'harmless' };

const TOOL_KINDS: ReadonlyMap<string, ToolKind> = new Map([
  ['Read', reads('file_path')],
  ['Glob', reads('path', true)],
  ['Grep', reads('path', true)],
  ['LS', reads('path', true)],
  ['Write', writes('file_path')],
  ['Edit', writes('file_path')],
  ['MultiEdit', writes('file_path')],
  ['NotebookEdit', writes('notebook_path')],
  ['Bash', { kind: 'command' }],
  ...[
    'BashOutput',
    'KillShell',
    'TaskOutput',
    'TaskStop',
    'TodoWrite',
    'TaskCreate',
    'TaskUpdate',
    'TaskGet',
    'TaskList',
  ].map((name): [string, ToolKind] => [name, harmless]),
  ['ToolSearch', harmless],
  ['ReportFindings', harmless],
  ['WebFetch', { kind: 'network' }],
  ['WebSearch', { kind: 'network' }],
]);

const ALLOW: ToolVerdict = { kind: 'allow' };
const deny = (rule: string, reason: string): ToolVerdict => ({ kind: 'deny', rule, reason });

const undecodable = (call: ToolCall, what: string): ToolVerdict =>
  deny('undecodable', `the input of ${call.toolName} names no ${what}`);

/** A search pattern can leave the folder it starts in. */
const patternLeaves = (input: Readonly<Record<string, unknown>>): boolean => {
  const { pattern, glob } = input;
  return [pattern, glob].some(
    (text) => typeof text === 'string' && (/^[/~]/.test(text) || text.split('/').includes('..')),
  );
};

function decidePath(tool: ToolKind & { kind: 'path' }, call: ToolCall, workspace: string): ToolVerdict {
  const parsed = z.record(z.string(), z.unknown()).safeParse(call.input);
  const path = z.string().min(1).max(4_096).optional().safeParse(parsed.data?.[tool.field]);
  if (!path.success || (path.data === undefined && !tool.optional)) return undecodable(call, 'path');
  const place = placeOf(path.data ?? '.', call.cwd, workspace);
  if (place.kind === 'unusable') return deny('undecodable', place.why);
  if (place.kind === 'outside') return deny('outside_workspace', `${path.data ?? call.cwd} lies outside the workspace`);
  if (call.toolName === 'Glob' && patternLeaves(parsed.data ?? {}))
    return deny('outside_workspace', 'the pattern leaves the workspace');
  // What stands in .git runs as hooks, filters and aliases of everybody who uses the clone.
  const isGitInternal = place.relativePath.split('/').some((name) => name.toLowerCase() === '.git');
  if (tool.writes && isGitInternal) return deny('git_internals', "git's own files are changed by git commands only");
  return ALLOW;
}

function decideCommand(call: ToolCall, options: PolicyOptions): ToolVerdict {
  const parsed = CommandInput.safeParse(call.input);
  if (!parsed.success) return undecodable(call, 'command');
  const denied = deniedCommand(
    parsed.data.command,
    { cwd: call.cwd, workspace: options.workspace },
    options.commandDeny,
  );
  return denied === undefined ? ALLOW : deny(denied.rule, denied.reason);
}

/** Answers one call. Deterministic but for the links on disk. */
export function decideTool(call: ToolCall, options: PolicyOptions): ToolVerdict {
  const tool = TOOL_KINDS.get(call.toolName);
  switch (tool?.kind) {
    case 'path':
      return decidePath(tool, call, options.workspace);
    case 'command':
      return decideCommand(call, options);
    case 'harmless':
      return ALLOW;
    case 'network':
      return deny('network', 'tools that reach the network are not allowed');
    case undefined:
      return deny('unknown_tool', `the policy does not know the tool ${call.toolName}`);
  }
}

export const workspacePolicy = (options: PolicyOptions): ToolPolicy => ({
  decide: (call) => decideTool(call, options),
});
