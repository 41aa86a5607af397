/** What Claude Code tells its hooks, parsed: of each message only what the session uses. */
import { z } from 'zod';

const common = { session_id: z.string().max(200), transcript_path: z.string().max(4_096).optional() };
const tool = {
  ...common,
  cwd: z.string().max(4_096),
  tool_name: z.string().max(200),
  tool_input: z.unknown(),
  tool_use_id: z.string().max(200),
};
const named = <T extends string>(name: T) => ({ hook_event_name: z.literal(name) });

export const HookInput = z.discriminatedUnion('hook_event_name', [
  z.looseObject({ ...named('SessionStart'), ...common, source: z.string().optional() }),
  z.looseObject({ ...named('UserPromptSubmit'), ...common, prompt: z.string() }),
  z.looseObject({ ...named('PreToolUse'), ...tool }),
  z.looseObject({ ...named('PostToolUse'), ...tool, duration_ms: z.number().optional() }),
  z.looseObject({
    ...named('PostToolUseFailure'),
    ...tool,
    error: z.string().optional(),
    duration_ms: z.number().optional(),
  }),
  z.looseObject({ ...named('Stop'), ...common, last_assistant_message: z.string().optional() }),
  z.looseObject({ ...named('StopFailure'), ...common, error: z.unknown() }),
  z.looseObject({ ...named('SessionEnd'), ...common, reason: z.string().optional() }),
]);
export type HookInput = z.infer<typeof HookInput>;
export type HookOf<T extends HookInput['hook_event_name']> = Extract<HookInput, { hook_event_name: T }>;

export const NO_ANSWER = '';

/** The answer to PreToolUse; an allow also skips the CLI's own question. */
export const permissionAnswer = (permissionDecision: 'allow' | 'deny', permissionDecisionReason: string): string =>
  JSON.stringify({ hookSpecificOutput: { hookEventName: 'PreToolUse', permissionDecision, permissionDecisionReason } });

const SUMMARY_MAX_CHARS = 500;
const ToolInput = z.looseObject({
  command: z.string().optional(),
  file_path: z.string().optional(),
  notebook_path: z.string().optional(),
  path: z.string().optional(),
  pattern: z.string().optional(),
  url: z.string().optional(),
});

const fieldsOf = (input: unknown): z.infer<typeof ToolInput> => ToolInput.safeParse(input).data ?? {};

/** One line for people: what the tool is about, never its content. */
export function summaryOf(toolName: string, input: unknown): string {
  const { command, file_path, notebook_path, path, pattern, url } = fieldsOf(input);
  const about = command ?? file_path ?? notebook_path ?? pattern ?? path ?? url;
  return about === undefined ? toolName : `${toolName}: ${about}`.slice(0, SUMMARY_MAX_CHARS);
}

export const commandOf = (input: unknown): string | undefined => fieldsOf(input).command;

/** The file that a writing tool changes. */
export function writtenPathOf(toolName: string, input: unknown): string | undefined {
  const { file_path, notebook_path } = fieldsOf(input);
  return ['Write', 'Edit', 'MultiEdit', 'NotebookEdit'].includes(toolName) ? (file_path ?? notebook_path) : undefined;
}
