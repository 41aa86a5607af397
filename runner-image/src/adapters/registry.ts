/** All adapters, one line each; the only place outside the folders that names them. */
import type { ProviderId } from '../../../shared/providers.ts';
import { claudeCodeAdapter } from './claude-code/adapter.ts';
import type { Adapter } from './contract.ts';
import { shellAdapter } from './shell/adapter.ts';
import { unavailableAdapter } from './unavailable.ts';

export const ADAPTERS = {
  claude_code: claudeCodeAdapter,
  codex: unavailableAdapter('codex'),
  gemini_cli: unavailableAdapter('gemini_cli'),
  omnara: unavailableAdapter('omnara'),
  shell: shellAdapter,
} as const satisfies Record<ProviderId, Adapter>;
