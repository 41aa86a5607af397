/** A program that cannot be started or taken up is an outcome that people are told, not a broken invariant. */
import type { ProviderSession, StartResult } from './contract.ts';

const refused = async (what: string, hint: string, work: () => Promise<ProviderSession>): Promise<StartResult> => {
  try {
    return { kind: 'started', session: await work() };
  } catch (error) {
    return { kind: 'refused', reason: `${what}: ${error instanceof Error ? error.message : 'unknown'}`, hint };
  }
};

export const startedOrRefused = (start: () => Promise<ProviderSession>): Promise<StartResult> =>
  refused(
    'the CLI could not be started',
    'Check that the build still holds the CLI and that the disk is not full.',
    start,
  );

export const adoptedOrRefused = (adopt: () => Promise<ProviderSession>): Promise<StartResult> =>
  refused('the CLI could not be taken up after a crash of the runner', 'Start the session again.', adopt);
