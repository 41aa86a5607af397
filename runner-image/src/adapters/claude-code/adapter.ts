/** Claude Code (`@anthropic-ai/claude-code`) as a provider. */
import { PROVIDERS } from '../../../../shared/providers.ts';
import type { Adapter } from '../contract.ts';
import { detectVersion } from '../detect.ts';
import { adoptedOrRefused, startedOrRefused } from '../started-or-refused.ts';
import { claudeConversations } from './conversations.ts';
import { adoptClaudeSession, startClaudeSession } from './session.ts';

const VERSION = /^(\d+\.\d+\.\d+\S*) \(Claude Code\)/m;

export const claudeCodeAdapter: Adapter = {
  provider: 'claude_code',
  capabilities: PROVIDERS.claude_code.capabilities,
  conversations: claudeConversations,
  detect: (file) => detectVersion(file, VERSION),
  async startSession(config, ports) {
    const { model } = config;
    if (model === undefined) {
      return {
        kind: 'refused',
        reason: 'Claude Code needs a model',
        hint: 'Start with --model scripted, or set ANTHROPIC_API_KEY.',
      };
    }
    return startedOrRefused(() => startClaudeSession({ config, model, ports }));
  },
  adoptSession: (config, saved, ports) => adoptedOrRefused(() => adoptClaudeSession({ config, ports }, saved)),
};
