/** How Claude Code is started: its environment, its seeded HOME and settings that a repository cannot switch off (measured with 2.1.330). */
import { fileURLToPath } from 'node:url';
import { HOOK_CLIENT_DEADLINE_MS, HOOK_REQUEST_MAX_BYTES, HOOK_TIMEOUT_MS } from '../../../../shared/limits.ts';
import type { AgentSpawn, ModelAccess, StartConfig } from '../contract.ts';

export const HOOK_CLIENT_FILE = fileURLToPath(new URL('../hook-client/hook-client.mjs', import.meta.url));

/** A failing hook ends with 2 where that blocks; after a Stop it would make the model go on instead, so those end with 1. */
const HOOK_FAIL_CODES = {
  SessionStart: 2,
  UserPromptSubmit: 2,
  PreToolUse: 2,
  PostToolUse: 2,
  PostToolUseFailure: 2,
  Stop: 1,
  StopFailure: 1,
  SessionEnd: 1,
} as const;

/** Variables that would start a program or load code before the hook client; empty for the CLI and for its shells. */
const PINNED_EMPTY = { BASH_ENV: '', ENV: '', CLAUDE_CODE_SHELL_PREFIX: '', LD_PRELOAD: '', NODE_OPTIONS: '' };

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

export interface HookCommand {
  readonly nodeFile: string;
  readonly clientFile: string;
  readonly socketPath: string;
}

const hookCommandLine = (hook: HookCommand, failCode: number): string =>
  [
    hook.nodeFile,
    hook.clientFile,
    hook.socketPath,
    String(failCode),
    String(HOOK_CLIENT_DEADLINE_MS),
    String(HOOK_REQUEST_MAX_BYTES),
  ]
    .map(quote)
    .join(' ');

/** The value of `--settings`. */
export function settingsOf(hook: HookCommand): object {
  const hooks = Object.entries(HOOK_FAIL_CODES).map(([name, failCode]) => {
    const command = { type: 'command', command: hookCommandLine(hook, failCode), timeout: HOOK_TIMEOUT_MS / 1_000 };
    return [name, [{ ...(name.includes('ToolUse') ? { matcher: '*' } : {}), hooks: [command] }]];
  });
  return { tui: 'default', disableAllHooks: false, env: PINNED_EMPTY, hooks: Object.fromEntries(hooks) };
}

/** Content of `$HOME/.claude.json`: without it the CLI calls home or shows dialogs that default to No. */
export function seedOf(model: ModelAccess, workspace: string): object {
  return {
    hasCompletedOnboarding: true,
    theme: 'dark',
    customApiKeyResponses: { approved: [model.dummyKey.slice(-20), model.dummyKey], rejected: [] },
    projects: { [workspace]: { hasTrustDialogAccepted: true } },
  };
}

/** Program, arguments and the whole environment: nothing is inherited from the runner. */
export function launchOf(config: StartConfig, model: ModelAccess, home: string, hook: HookCommand): AgentSpawn {
  const args = [
    '--permission-mode',
    'default',
    '--setting-sources',
    '',
    '--settings',
    JSON.stringify(settingsOf(hook)),
  ];
  args.push(config.before?.hasConversation ? '--resume' : '--session-id', config.cliInstanceId);
  if (model.modelName !== undefined) args.push('--model', model.modelName);
  return {
    file: config.file,
    args,
    cwd: config.workspace,
    env: {
      ...PINNED_EMPTY,
      PATH: config.path,
      HOME: home,
      SHELL: '/bin/bash',
      TERM: 'xterm-256color',
      COLORTERM: 'truecolor',
      LANG: 'C.UTF-8',
      CLAUDE_CODE_TMPDIR: home,
      ANTHROPIC_API_KEY: model.dummyKey,
      ANTHROPIC_BASE_URL: model.baseUrl,
      DISABLE_AUTOUPDATER: '1',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    },
  };
}
