/** Assignments as they come, told once or often: each is taken once, after the epoch before it has gone, or refused for good. */
import type { Assign, RunnerFrame } from '../../../shared/frames.ts';
import { ANSWERED_ASSIGNS_MAX } from '../../../shared/limits.ts';
import type { RunnerConfig } from '../config.ts';
import type { Log } from '../log.ts';
import { decideAssign } from './decide-assign.ts';
import type { HeldSessions } from './held-sessions.ts';
import type { SessionKey } from './session-guard.ts';

export interface AssignmentsOptions {
  readonly config: Pick<RunnerConfig, 'principal' | 'MAX_CONCURRENT_SESSIONS'>;
  readonly log: Log;
  readonly sessions: HeldSessions;
  readonly isDraining: () => boolean;
  readonly serve: (frame: Assign) => void;
  readonly say: (frame: RunnerFrame) => void;
}

export class Assignments {
  readonly #options: AssignmentsOptions;
  /** Newer epochs of sessions whose older one has yet to end. */
  readonly #waiting = new Map<string, Assign>();
  /** Epochs that have ended here or were refused: none of them begins (again), however late it is told once more. */
  readonly #answered = new Set<string>();
  #served = 0;

  constructor(options: AssignmentsOptions) {
    this.#options = options;
  }

  /** Sessions taken since the start. */
  get served(): number {
    return this.#served;
  }

  take(frame: Assign): void {
    const { config, sessions, isDraining, log } = this.#options;
    const { sessionId, epoch } = frame;
    const key = `${sessionId}#${epoch}`;
    sessions.takeUpRest(sessionId);
    const held = sessions.get(sessionId);
    const facts = {
      ...{ kind: config.principal.kind, capacity: config.MAX_CONCURRENT_SESSIONS, isDraining: isDraining() },
      ...{ live: sessions.live, held: sessions.all.length },
      hasServed: this.#served > 0 || sessions.all.length > 0,
      heldEpoch: held?.epoch ?? null,
      wasAnswered: this.#answered.has(key),
      isStuck: sessions.isStuck(sessionId),
    };
    const decision = decideAssign(facts, epoch);
    if (decision.kind === 'start') {
      log.info('assigned', { sessionId, epoch, provider: frame.config.provider });
      this.#served += 1;
      this.#start(frame, key);
    } else if (decision.kind === 'wait') {
      this.#waiting.set(sessionId, frame);
      held?.runtime.abort('newer_epoch');
    } else if (decision.kind === 'refuse') this.#refuse(frame, key, decision);
  }

  /** @returns whether the next epoch of it was waiting for that */
  sessionEnded({ sessionId, epoch }: SessionKey): boolean {
    this.#remember(`${sessionId}#${epoch}`);
    const next = this.#waiting.get(sessionId);
    this.#waiting.delete(sessionId);
    // As if it were told now: meanwhile the runner may drain, or be full.
    if (next) this.take(next);
    return next !== undefined;
  }

  #start(frame: Assign, key: string): void {
    const { config, log, serve } = this.#options;
    try {
      serve(frame);
    } catch (error) {
      // A runner of one session is started again; the other sessions of one that stays must not suffer from a full disk.
      if (config.principal.kind !== 'group') throw error;
      log.error('a session could not be begun', { sessionId: frame.sessionId, error });
      this.#refuse(frame, key, {
        reason: 'full',
        message: 'This runner could not begin the session; its log says why.',
      });
    }
  }

  #refuse(frame: Assign, key: string, { reason, message }: { reason: 'full' | 'draining'; message: string }): void {
    const { log, say } = this.#options;
    const { sessionId, epoch, capability } = frame;
    this.#remember(key);
    log.warn('an assignment is refused', { sessionId, epoch, reason });
    say({ type: 'assign_refused', capability, sessionId, epoch, reason, message });
  }

  #remember(key: string): void {
    this.#answered.add(key);
    const [oldest] = this.#answered;
    if (this.#answered.size > ANSWERED_ASSIGNS_MAX && oldest !== undefined) this.#answered.delete(oldest);
  }
}
