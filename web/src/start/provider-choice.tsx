/** Which agent works: those that cannot be chosen say why. */

import type { ProviderId, ProviderInfo } from '../../../shared/providers.ts';
import { sentence } from '../ui/words.ts';

interface ProviderChoiceProps {
  readonly providers: readonly ProviderInfo[];
  readonly value: ProviderId;
  readonly onChange: (provider: ProviderId) => void;
  readonly error?: string | undefined;
}

const ABOUT: Readonly<Record<ProviderId, string>> = {
  claude_code: 'Anthropic’s agent, gated by its own hook',
  codex: 'OpenAI’s agent',
  gemini_cli: 'Google’s agent',
  omnara: 'Omnara’s agent',
  shell: 'Plain bash, for you to lead',
};

const availableFirst = (providers: readonly ProviderInfo[]): ProviderInfo[] =>
  [...providers].sort((a, b) => Number(b.available) - Number(a.available));

export const ProviderChoice = ({ providers, value, onChange, error }: ProviderChoiceProps) => (
  <fieldset>
    <legend className="text-sm font-medium">Agent</legend>
    <div className="mt-1.5 grid gap-2 sm:grid-cols-2">
      {availableFirst(providers).map((info) => (
        <label
          key={info.provider}
          className={`flex items-start gap-3 rounded-xl border px-3.5 py-3 has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent ${
            info.available
              ? 'cursor-pointer border-line-strong/50 hover:bg-raised has-checked:border-accent has-checked:bg-accent-soft'
              : 'cursor-not-allowed border-line bg-raised/50'
          }`}
        >
          <input
            type="radio"
            name="provider"
            value={info.provider}
            checked={value === info.provider}
            disabled={!info.available}
            onChange={() => onChange(info.provider)}
            className="mt-1.5 accent-(--c-accent-ground)"
          />
          <span className="min-w-0">
            <span className={`block text-sm font-medium ${info.available ? '' : 'text-muted'}`}>
              {info.displayName}
            </span>
            <span className="block text-[13px] text-muted">
              {info.available ? ABOUT[info.provider] : sentence(info.reason ?? 'not available')}
            </span>
          </span>
        </label>
      ))}
    </div>
    {error === undefined ? null : <p className="mt-1 text-[13px] font-medium text-danger">{error}</p>}
  </fieldset>
);
