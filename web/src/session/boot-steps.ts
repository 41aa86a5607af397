/** Which step of a start a session is in, read from its events: a hung start must show where it hangs. */
import type { SessionEvent } from '../../../shared/events.ts';
import { BOOT_LIMITS_MS } from '../../../shared/limits.ts';
import { PROVIDERS } from '../../../shared/providers.ts';
import { BootStep, type SessionState, type SessionView } from '../../../shared/session.ts';

export interface BootStepView {
  readonly step: BootStep;
  readonly state: 'pending' | 'active' | 'done' | 'failed';
  /** `null` where it has not begun or its times are unknown. */
  readonly elapsedMs: number | null;
  readonly limitMs: number;
}

/** The step that follows on from each fact; the fact's time ends the step before. */
const STARTS: readonly { readonly step: BootStep; readonly begins: (event: SessionEvent) => boolean }[] = [
  { step: 'launching', begins: (event) => event.type === 'session_created' },
  { step: 'connecting', begins: (event) => event.type === 'runner_registered' },
  {
    step: 'preparing_workspace',
    begins: (event) => event.type === 'workspace_preparing' || entered(event, 'preparing_workspace'),
  },
  {
    step: 'starting_provider',
    begins: (event) => event.type === 'workspace_ready' || entered(event, 'starting_provider'),
  },
  { step: 'proving_gate', begins: (event) => event.type === 'provider_started' },
];
const entered = (event: SessionEvent, state: SessionState): boolean =>
  event.type === 'session_state_changed' && event.toState === state;
const isReady = (event: SessionEvent): boolean =>
  event.type === 'provider_ready' || event.type === 'gate_proven' || entered(event, 'running');

/** Before there is an agent to see. */
export const BOOT_STATES: ReadonlySet<SessionState> = new Set(['created', 'preparing_workspace', 'starting_provider']);

const ended = (session: SessionView): boolean => session.state === 'failed' || session.state === 'completed';

/** Whether the start is still under way, or is what failed. */
export const isBooting = (session: SessionView, events: readonly SessionEvent[]): boolean => {
  if (events.some((event) => entered(event, 'running'))) return false;
  if (session.state === 'failed') return session.startedAt === null || session.reason?.step !== undefined;
  return BOOT_STATES.has(session.state);
};

/**
 * Steps of the current epoch in order; `events` may hold older epochs. A known task means that the launch was accepted;
 * as nobody wrote down when, the time until the runner spoke counts as connecting.
 */
export const bootSteps = (session: SessionView, events: readonly SessionEvent[], nowMs: number): BootStepView[] => {
  const current = events.filter((event) => event.epoch === session.epoch);
  const steps = BootStep.options.filter(
    (step) => step !== 'proving_gate' || PROVIDERS[session.provider].capabilities.gate !== 'not_needed',
  );
  const startOf = (step: BootStep) => {
    const rule = STARTS.find((start) => start.step === step);
    return current.find((event) => rule?.begins(event) === true)?.ts ?? null;
  };
  const starts = steps.map((step) =>
    step === 'launching' ? (startOf(step) ?? Date.parse(session.createdAt)) : startOf(step),
  );
  const launchedAtUnknown = starts[1] === null && session.taskArn !== null;
  if (launchedAtUnknown) starts[1] = starts[0] ?? null;
  const readyAtMs = current.find(isReady)?.ts ?? null;
  const failedStep = session.state === 'failed' ? session.reason?.step : undefined;
  const reached = reachedIndex(steps, starts, session, failedStep);
  const endMs = ended(session) ? Date.parse(session.endedAt ?? session.updatedAt) : nowMs;
  return steps.map((step, index) => {
    const startMs = starts[index] ?? null;
    const nextMs = starts.slice(index + 1).find((start) => start !== null) ?? readyAtMs;
    const isQueued = session.queuePosition !== null;
    const over = !isQueued && (readyAtMs !== null || index < reached);
    const waits = isQueued || index > reached;
    const state = over ? 'done' : waits ? 'pending' : ended(session) ? 'failed' : 'active';
    const untilMs = over ? (nextMs ?? null) : waits ? null : endMs;
    const timed = startMs !== null && untilMs !== null && !(index === 0 && launchedAtUnknown);
    const elapsedMs = timed ? Math.max(0, untilMs - startMs) : null;
    return { step, state, elapsedMs, limitMs: BOOT_LIMITS_MS[step] };
  });
};

/** The furthest step that began; the state and the reason's step say so where an event is missing. */
const reachedIndex = (
  steps: readonly BootStep[],
  starts: readonly (number | null)[],
  session: SessionView,
  failedStep: BootStep | undefined,
): number => {
  if (failedStep !== undefined && steps.includes(failedStep)) return steps.indexOf(failedStep);
  const byEvents = starts.findLastIndex((start) => start !== null);
  const byState = (steps as readonly string[]).indexOf(session.state);
  return Math.max(0, byEvents, byState);
};
