/** The gate's life: unproven until the CLI's own hook reports in, then proven until a tool slips past it, and never proven again. */
import { sleep } from '../../../../shared/clock.ts';
import { BOOT_LIMITS_MS, LAST_SCREEN_MAX_CHARS } from '../../../../shared/limits.ts';
import type { AdapterPorts, AgentExit, Readiness } from '../contract.ts';

const SCREEN_POLL_MS = 50;
const SCREEN_WAIT_MS = 5_000;
/** The input box as the CLI draws it when it takes a prompt. */
const INPUT_BOX = /^\s*[❯>]/m;

export interface GateProof {
  readonly ready: Promise<Readiness>;
  /** The gate stands and the CLI lives. */
  readonly stands: boolean;
  prove(): void;
  /** Ends the CLI: what slips past its gate must not go on. */
  lose(reason: string): void;
  ended(exit: AgentExit): void;
}

interface GateOptions {
  readonly ports: AdapterPorts;
  readonly cliInstanceId: string;
  readonly kill: () => void;
}

/** Starts the time within which the proof must come: BOOT_LIMITS_MS.proving_gate. */
export function gateProof({ ports, cliInstanceId, kill }: GateOptions): GateProof {
  const { clock, onEvent: emit } = ports;
  const startedAtMs = clock.monotonicMs();
  const ready = Promise.withResolvers<Readiness>();
  let state: 'unproven' | 'proven' | 'lost' | 'ended' = 'unproven';
  const lastScreen = () => ports.screenText().slice(-LAST_SCREEN_MAX_CHARS);

  const lose = (reason: string): void => {
    if (state === 'lost' || state === 'ended') return;
    state = 'lost';
    const screen = lastScreen();
    emit({ type: 'GATE_LOST', reason, lastScreen: screen });
    ready.resolve({ kind: 'gate_unproven', reason, lastScreen: screen });
    kill();
  };
  const limitMs = BOOT_LIMITS_MS.proving_gate;
  const cancelTimer = clock.after(limitMs, () => {
    if (state === 'unproven') lose(`the CLI's SessionStart hook did not report within ${limitMs / 1_000} s`);
  });

  const becomeReady = async (): Promise<void> => {
    let waitedMs = 0;
    while (!INPUT_BOX.test(ports.screenText()) && waitedMs < SCREEN_WAIT_MS && state === 'proven') {
      await sleep(clock, SCREEN_POLL_MS);
      waitedMs += SCREEN_POLL_MS;
    }
    if (state !== 'proven') return;
    const tookMs = Math.round(clock.monotonicMs() - startedAtMs);
    emit({ type: 'PROVIDER_READY', tookMs, degraded: waitedMs >= SCREEN_WAIT_MS });
    ready.resolve({ kind: 'ready' });
  };

  return {
    ready: ready.promise,
    get stands() {
      return state === 'proven';
    },
    prove() {
      if (state !== 'unproven') return;
      state = 'proven';
      cancelTimer();
      emit({ type: 'GATE_PROVEN', proof: 'session_start_hook', cliInstanceId });
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
  };
}
