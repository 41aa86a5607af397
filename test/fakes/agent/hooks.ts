/** Calls hooks the way Claude Code does: the command from its settings, the event on stdin, exit code 2 or a deny blocks. */
import { spawn } from 'node:child_process';
import { z } from 'zod';

const Settings = z.looseObject({
  hooks: z
    .record(z.string(), z.array(z.looseObject({ hooks: z.array(z.looseObject({ command: z.string() })) })))
    .default({}),
});
const Answer = z.looseObject({
  hookSpecificOutput: z.looseObject({
    permissionDecision: z.enum(['allow', 'deny']),
    permissionDecisionReason: z.string().default(''),
  }),
});

export type HookOutcome = { readonly kind: 'go' } | { readonly kind: 'blocked'; readonly reason: string };
export type CallHook = (name: string, fields: object) => Promise<HookOutcome>;

function run(command: string, stdin: string): Promise<{ exitCode: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', command], { stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (text) => {
      stdout += text;
    });
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    // A hook that does not read its input is judged by its exit code.
    child.stdin.on('error', () => undefined);
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
    child.stdin.end(stdin);
  });
}

/** Without settings no hook is called. Like the real CLI it goes on when a hook fails in any way but exit code 2. */
export function hookCaller(settings: string | undefined, sessionId: string, transcriptPath: string): CallHook {
  const { hooks } = Settings.parse(JSON.parse(settings ?? '{}'));
  const common = { session_id: sessionId, transcript_path: transcriptPath };
  return async (name, fields) => {
    const commands = (hooks[name] ?? []).flatMap((group) => group.hooks.map(({ command }) => command));
    for (const command of commands) {
      const ended = await run(command, JSON.stringify({ ...common, hook_event_name: name, ...fields }));
      if (ended.exitCode === 2) return { kind: 'blocked', reason: ended.stderr.trim() };
      if (ended.exitCode !== 0 || ended.stdout === '') continue;
      const answer = Answer.parse(JSON.parse(ended.stdout)).hookSpecificOutput;
      if (answer.permissionDecision === 'deny') return { kind: 'blocked', reason: answer.permissionDecisionReason };
    }
    return { kind: 'go' };
  };
}
