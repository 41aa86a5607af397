/** A program that cannot be started is an outcome that people are told, not a broken invariant. */
import type { ProviderSession, StartResult } from './contract.ts';

export async function startedOrRefused(start: () => Promise<ProviderSession>): Promise<StartResult> {
  try {
    return { kind: 'started', session: await start() };
  } catch (error) {
    return {
      kind: 'refused',
      reason: `the CLI could not be started: ${error instanceof Error ? error.message : 'unknown'}`,
      hint: 'Check that the build still holds the CLI and that the disk is not full.',
    };
  }
}
