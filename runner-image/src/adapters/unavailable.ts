/** Adapters that are named but not built: they refuse with the reason that `GET /api/providers` shows. */
import { PROVIDERS, type ProviderId } from '../../../shared/providers.ts';
import type { Adapter, StartResult } from './contract.ts';

export function unavailableAdapter(provider: ProviderId): Adapter {
  const { capabilities, displayName, reason } = PROVIDERS[provider];
  const refusal = {
    reason: `${displayName} is not available: ${reason ?? 'it is switched off'}`,
    hint: 'Choose another provider.',
  };
  const refuse = async (): Promise<StartResult> => ({ kind: 'refused', ...refusal });
  return {
    provider,
    capabilities,
    detect: async () => ({ kind: 'missing', ...refusal }),
    startSession: refuse,
    adoptSession: refuse,
  };
}
