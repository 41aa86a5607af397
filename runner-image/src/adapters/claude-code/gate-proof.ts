/** The gate's life: unproven until the CLI's own hook reports in, then proven until a tool slips past it, and never proven again. */
import { z } from 'zod';
import { sleep } from '../../../../shared/clock.ts';
import { BOOT_LIMITS_MS, LAST_SCREEN_MAX_CHARS } from '../../../../shared/limits.ts';
import type { AdapterPorts, AgentExit, Readiness } from '../contract.ts';
import type { Ledger } from './ledger.ts';

const SCREEN_POLL_MS = 50;
const SCREEN_WAIT_MS = 5_000;
/** The input box as the CLI draws it when it takes a prompt. */
const INPUT_BOX = /^\s*[❯>]/m;

export const SavedGate = z.strictObject({
  state: z.enum(['unproven', 'proven', 'lost', 'ended']),
  /** PROVIDER_READY was reported. */
  isReady: z.boolean(),
  lostReason: z.string(),
});
export type SavedGate = z.infer<typeof SavedGate>;

export const UNPROVEN: SavedGate = { state: 'unproven', isReady: false, lostReason: '' };

export interface GateProof {
  readonly ready: Promise<Readiness>;
  /** The gate stands and the CLI lives. */
  readonly stands: boolean;
  /** Starts the time within which the proof must come (BOOT_LIMITS_MS.proving_gate), or goes on from before a crash. */
  begin(): void;
  prove(): void;
  /** Ends the CLI: what slips past its gate must not go on. */
  lose(reason: string): void;
  ended(exit: AgentExit): void;
  saved(): SavedGate;
}

interface GateOptions {
  readonly ports: Pick<AdapterPorts, 'clock' | 'screenText'>;
  readonly ledger: Ledger;
  readonly cliInstanceId: string;
  readonly kill: () => void;
  readonly from: SavedGate;
}

/** A gate that was proven before a crash of the runner stands on; one that was not has its whole time again. */
export function gateProof({ ports, ledger, cliInstanceId, kill, from }: GateOptions): GateProof {
  const { clock } = ports;
  const startedAtMs = clock.monotonicMs();
  const ready = Promise.withResolvers<Readiness>();
  let { state, isReady, lostReason } = from;
  let cancelTimer = (): void => {};
  const lastScreen = () => ports.screenText().slice(-LAST_SCREEN_MAX_CHARS);

  const lose = (reason: string): void => {
    if (state === 'lost' || state === 'ended') return;
    state = 'lost';
    lostReason = reason;
    cancelTimer();
    const screen = lastScreen();
    ledger.emit({ type: 'GATE_LOST', reason, lastScreen: screen });
    ledger.commit();
    ready.resolve({ kind: 'gate_unproven', reason, lastScreen: screen });
    kill();
  };

  const becomeReady = async (): Promise<void> => {
    let waitedMs = 0;
    while (!INPUT_BOX.test(ports.screenText()) && waitedMs < SCREEN_WAIT_MS && state === 'proven') {
      await sleep(clock, SCREEN_POLL_MS);
      waitedMs += SCREEN_POLL_MS;
    }
    if (state !== 'proven') return;
    if (!isReady) {
      isReady = true;
      const tookMs = Math.round(clock.monotonicMs() - startedAtMs);
      ledger.emit({ type: 'PROVIDER_READY', tookMs, degraded: waitedMs >= SCREEN_WAIT_MS });
      ledger.commit();
    }
    ready.resolve({ kind: 'ready' });
  };

  return {
    ready: ready.promise,
    get stands() {
      return state === 'proven';
    },
    begin() {
      if (state === 'proven') return void (isReady ? ready.resolve({ kind: 'ready' }) : becomeReady());
      if (state === 'lost') {
        // The process before this one died between its last event and the kill.
        ready.resolve({ kind: 'gate_unproven', reason: lostReason, lastScreen: lastScreen() });
        return kill();
      }
      const limitMs = BOOT_LIMITS_MS.proving_gate;
      cancelTimer = clock.after(limitMs, () => {
        if (state === 'unproven') lose(`the CLI's SessionStart hook did not report within ${limitMs / 1_000} s`);
      });
    },
    prove() {
      if (state !== 'unproven') return;
      state = 'proven';
      cancelTimer();
      ledger.emit({ type: 'GATE_PROVEN', proof: 'session_start_hook', cliInstanceId });
      void becomeReady();
    },
    lose,
    ended(exit) {
      state = 'ended';
      cancelTimer();
      ready.resolve({
        kind: 'exited',
        exitCode: exit.kind === 'exited' ? exit.exitCode : null,
        lastScreen: lastScreen(),
      });
    },
    saved: () => ({ state, isReady, lostReason }),
  };
}
