/** A boot step that hangs is an error with a name, and never a spinner for ever. */
import type { Clock } from '../../../shared/clock.ts';
import { BOOT_LIMITS_MS, LAST_SCREEN_MAX_CHARS } from '../../../shared/limits.ts';
import type { BootStep, StateReason } from '../../../shared/session.ts';

export type Limited<T> = { readonly kind: 'done'; readonly value: T } | { readonly kind: 'timeout' };

/** The outcome of `work`, or `timeout` after `limitMs`; the work itself goes on and must be cancelled by the caller. */
export const within = <T>(clock: Clock, limitMs: number, work: Promise<T>): Promise<Limited<T>> =>
  new Promise((resolve, reject) => {
    const cancel = clock.after(limitMs, () => resolve({ kind: 'timeout' }));
    work.then(
      (value) => {
        cancel();
        resolve({ kind: 'done', value });
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });

const STEP_NAMES: Readonly<Record<BootStep, string>> = {
  launching: 'Launching the runner',
  connecting: 'Connecting',
  preparing_workspace: 'Preparing the workspace',
  starting_provider: 'Starting the CLI',
  proving_gate: 'Proving the approval gate',
};

export const timeoutReason = (
  step: BootStep,
  limitMs: number = BOOT_LIMITS_MS[step],
  lastScreen?: string,
): StateReason => ({
  code: 'step_timeout',
  message: `${STEP_NAMES[step]} took longer than ${Math.round(limitMs / 1_000)} s.`,
  hint: 'Start the session again; if it stays, look at the log of the runner.',
  step,
  ...screenField(lastScreen),
});

/** Serialised bytes of the last screen: the event that carries it has 16 KiB. */
const SCREEN_MAX_BYTES = 10 * 1024;

/** The end of the screen, cut so that its event fits. */
export const screenField = (screen: string | undefined): { lastScreen?: string } => {
  if (screen === undefined || screen.trim() === '') return {};
  let text = screen.slice(-LAST_SCREEN_MAX_CHARS);
  while (Buffer.byteLength(JSON.stringify(text)) > SCREEN_MAX_BYTES) text = text.slice(Math.ceil(text.length / 8));
  return { lastScreen: text };
};
