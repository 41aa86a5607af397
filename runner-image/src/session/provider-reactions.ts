/** What a report of the CLI means for the session besides its durable event: counters, progress, or the end. */
import { PROVIDERS, type ProviderId } from '../../../shared/providers.ts';
import type { ProviderEvent } from '../adapters/contract.ts';
import { screenField } from './boot-limit.ts';
import type { Ending, SessionRuntime } from './session-runtime.ts';

type Reacting = Pick<SessionRuntime, 'core' | 'lifetime'> & {
  readonly agent: { readonly files: { hint(): void } | null };
};

/** A provider without a gate is led by a person: it has no turns, a command is what was asked of it. */
const isPlain = (provider: ProviderId): boolean => PROVIDERS[provider].capabilities.gate === 'not_needed';

/** Follows the event; what it returns ends the session. */
export const reactToProvider = (runtime: Reacting, provider: ProviderId, event: ProviderEvent): Ending | null => {
  const { core, lifetime, agent } = runtime;
  switch (event.type) {
    case 'PROVIDER_STARTED':
      core.setCliVersion(event.cliVersion);
      return null;
    case 'TURN_STARTED':
      lifetime.turnStarted();
      return null;
    case 'TURN_FINISHED':
      lifetime.turnFinished();
      agent.files?.hint();
      return null;
    case 'HINT_COMMAND_EXECUTED':
      core.countCommand();
      if (isPlain(provider)) lifetime.turnFinished();
      return null;
    case 'TOOL_FINISHED':
    case 'HINT_DIFF_AVAILABLE':
    case 'HINT_FILES_TOUCHED':
      lifetime.active();
      agent.files?.hint();
      return null;
    case 'GATE_LOST': {
      // Before it was proven the boot fails with it.
      if (core.state === 'starting_provider') return null;
      const message = `The approval gate was lost: ${event.reason}`.slice(0, 2_000);
      return { to: 'failed', reason: { code: 'gate_lost', message, ...screenField(event.lastScreen) } };
    }
    default:
      lifetime.active();
      return null;
  }
};

export interface ExitContext {
  readonly provider: ProviderId;
  /** A person typed in the control term that still lasts. */
  readonly isLed: boolean;
  readonly lastScreen: string;
}

/** What the end of a CLI that nobody stopped makes of its session: only a person's own `exit` completes it. */
export const endingOfExit = (
  { exitCode, signal }: { exitCode: number | null; signal: number | null },
  { provider, isLed, lastScreen }: ExitContext,
): Ending => {
  const code = exitCode ?? 'unknown';
  if (exitCode !== null && signal === null && (isPlain(provider) || (isLed && exitCode === 0)))
    return { to: 'completed', reason: { code: 'exited', message: `The program ended with code ${code}.` } };
  const how = signal === null ? `with code ${code}` : `by signal ${signal}`;
  const message = `The CLI ended ${how} while the session was running.`;
  const hint = 'The last screen may say why.';
  return { to: 'failed', reason: { code: 'provider_exited', message, hint, ...screenField(lastScreen) } };
};
