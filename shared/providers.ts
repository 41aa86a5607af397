/** Who can be run, and what each can do; how a CLI is driven stays in its adapter's folder. */
import { z } from 'zod';

export const ProviderId = z.enum(['claude_code', 'codex', 'gemini_cli', 'omnara', 'shell']);
export type ProviderId = z.infer<typeof ProviderId>;

/** How a session proves that the approval gate really stands in front of the CLI's tools. */
export const GateProof = z.enum(['session_start_hook', 'trusted_hash', 'unverified', 'not_needed']);
export type GateProof = z.infer<typeof GateProof>;

export const Capabilities = z.strictObject({
  ptyStreaming: z.boolean(),
  structuredEdits: z.enum(['none', 'diff', 'fileEvents']),
  supportsMCP: z.boolean(),
  supportsNonInteractive: z.boolean(),
  supportsPlanAndExecute: z.boolean(),
  supportsPRFlow: z.boolean(),
  gate: GateProof,
});
export type Capabilities = z.infer<typeof Capabilities>;

/** One provider as `GET /api/providers` shows it. `available` is false with the reason until its adapter is built. */
export const ProviderInfo = z.strictObject({
  provider: ProviderId,
  displayName: z.string(),
  available: z.boolean(),
  reason: z.string().optional(),
  capabilities: Capabilities,
  /** Models a start may name; the first is the default. `scripted` needs no key. */
  models: z.array(z.string()),
});
export type ProviderInfo = z.infer<typeof ProviderInfo>;

const capabilities = (over: Partial<Capabilities>): Capabilities => ({
  ptyStreaming: true,
  structuredEdits: 'none',
  supportsMCP: false,
  supportsNonInteractive: false,
  supportsPlanAndExecute: false,
  supportsPRFlow: false,
  gate: 'unverified',
  ...over,
});

const NOT_BUILT = 'its adapter is not built yet, so a session on it is refused';

export const PROVIDERS: Readonly<Record<ProviderId, ProviderInfo>> = {
  claude_code: {
    provider: 'claude_code',
    displayName: 'Claude Code',
    available: true,
    capabilities: capabilities({
      structuredEdits: 'diff',
      supportsMCP: true,
      supportsNonInteractive: true,
      supportsPlanAndExecute: true,
      gate: 'session_start_hook',
    }),
    models: ['default', 'scripted'],
  },
  codex: {
    provider: 'codex',
    displayName: 'Codex',
    available: false,
    reason: NOT_BUILT,
    capabilities: capabilities({
      structuredEdits: 'diff',
      supportsMCP: true,
      supportsNonInteractive: true,
      gate: 'trusted_hash',
    }),
    models: ['default'],
  },
  gemini_cli: {
    provider: 'gemini_cli',
    displayName: 'Gemini CLI',
    available: false,
    reason: NOT_BUILT,
    capabilities: capabilities({ supportsMCP: true, supportsNonInteractive: true, gate: 'session_start_hook' }),
    models: ['default'],
  },
  omnara: {
    provider: 'omnara',
    displayName: 'Omnara',
    available: false,
    reason: NOT_BUILT,
    capabilities: capabilities({}),
    models: ['default'],
  },
  shell: {
    provider: 'shell',
    displayName: 'Shell',
    available: true,
    capabilities: capabilities({ structuredEdits: 'fileEvents', gate: 'not_needed' }),
    models: ['default'],
  },
};
