/** Which CLIs a build can hold: from `provider@version` to the npm package and the program in it. */
import { ProviderId } from '../../shared/providers.ts';

export type CatalogEntry =
  | {
      readonly kind: 'npm';
      readonly provider: ProviderId;
      readonly version: string;
      readonly packageName: string;
      /** Name under node_modules/.bin. */
      readonly bin: string;
      /** About what is downloaded, for people who wait. */
      readonly sizeMb: number;
    }
  /** Comes with the machine. */
  | { readonly kind: 'system'; readonly provider: ProviderId; readonly file: string };

export type CatalogAnswer =
  | { readonly kind: 'known'; readonly entry: CatalogEntry }
  | { readonly kind: 'unknown'; readonly message: string };

const PACKAGES: Partial<Readonly<Record<ProviderId, { packageName: string; bin: string; sizeMb: number }>>> = {
  claude_code: { packageName: '@anthropic-ai/claude-code', bin: 'claude', sizeMb: 364 },
  codex: { packageName: '@openai/codex', bin: 'codex', sizeMb: 404 },
  gemini_cli: { packageName: '@google/gemini-cli', bin: 'gemini', sizeMb: 100 },
};

/** Exact versions only: a build is pinned, and the version becomes a folder's name. */
const EXACT_VERSION = /^\d{1,9}\.\d{1,9}\.\d{1,9}(-[0-9A-Za-z.-]{1,60})?$/;

const unknown = (message: string): CatalogAnswer => ({ kind: 'unknown', message });

/** Reads a spec such as `claude_code@2.1.330` or `shell@system`. */
export function catalogEntry(spec: string): CatalogAnswer {
  const [name = '', version = '', ...more] = spec.split('@');
  const provider = ProviderId.safeParse(name);
  if (!provider.success || more.length > 0) {
    return unknown(
      `"${spec}" names no provider: write <provider>@<version> with one of ${ProviderId.options.join(', ')}`,
    );
  }
  if (provider.data === 'shell') {
    if (version !== 'system') return unknown('the shell comes with the machine: write shell@system');
    return { kind: 'known', entry: { kind: 'system', provider: 'shell', file: '/bin/bash' } };
  }
  const found = PACKAGES[provider.data];
  if (found === undefined) return unknown(`${provider.data} is not on npm, so it cannot be installed into a build`);
  if (!EXACT_VERSION.test(version))
    return unknown(`"${spec}" needs an exact version, for example ${provider.data}@2.1.330`);
  return { kind: 'known', entry: { kind: 'npm', provider: provider.data, version, ...found } };
}
