/** The start, step by step: where it is, how long each may take, and a way out when it hangs or fails. */
import { Link } from '@tanstack/react-router';
import type { SessionEvent } from '../../../shared/events.ts';
import type { SessionView } from '../../../shared/session.ts';
import { recallStart } from '../start/start-memory.ts';
import { useStart } from '../start/use-start.ts';
import { Button } from '../ui/button.tsx';
import { Icon } from '../ui/icon.tsx';
import { Notice } from '../ui/notice.tsx';
import { poolWords, queueWords } from '../ui/session-words.ts';
import { useNow } from '../ui/use-now.ts';
import { durationWords, elapsedWords, STEP_WORDS } from '../ui/words.ts';
import { type BootStepView, bootSteps } from './boot-steps.ts';

interface BootPanelProps {
  readonly session: SessionView;
  readonly events: readonly SessionEvent[];
}

const titleOf = (session: SessionView): string =>
  session.state === 'failed' ? 'The start failed' : session.queuePosition === null ? 'Starting' : queueWords(session);

export const BootPanel = ({ session, events }: BootPanelProps) => {
  const nowMs = useNow(200);
  const steps = bootSteps(session, events, nowMs);
  return (
    <section className="mx-auto w-full max-w-2xl p-4 sm:p-6" data-testid="boot" aria-label="Start of the session">
      <h2 className="text-lg font-semibold">{titleOf(session)}</h2>
      {session.queuePosition === null ? null : (
        <p className="mt-1 text-sm text-muted" role="status" data-testid="queued">
          It starts as soon as a runner of {poolWords(session.pool)} is free. Nothing is billed until then.
        </p>
      )}
      <ol className="mt-3 overflow-hidden rounded-2xl border border-line bg-surface">
        {steps.map((step) => (
          <Step key={step.step} view={step} />
        ))}
      </ol>
      {session.state === 'failed' ? <Failure session={session} /> : null}
    </section>
  );
};

const MARKS: Readonly<Record<BootStepView['state'], string>> = {
  pending: 'border-line-strong/60',
  active: 'border-info bg-info-soft',
  done: 'border-accent bg-accent-soft text-accent',
  failed: 'border-danger bg-danger-soft text-danger',
};
const STATE_LABELS: Readonly<Record<BootStepView['state'], string>> = {
  pending: 'not begun',
  active: 'under way',
  done: 'done',
  failed: 'failed',
};

const Step = ({ view }: { view: BootStepView }) => {
  const { step, state, elapsedMs, limitMs } = view;
  const share = elapsedMs === null ? 0 : Math.min(1, elapsedMs / limitMs);
  return (
    <li
      data-testid="boot-step"
      data-step={step}
      data-state={state}
      className="relative flex items-center gap-3 border-b border-line px-4 py-3 last:border-b-0"
    >
      <span className={`grid size-6 place-items-center rounded-full border ${MARKS[state]}`}>
        {state === 'done' ? <Icon name="check" className="size-3.5" /> : null}
        {state === 'failed' ? <Icon name="close" className="size-3.5" /> : null}
        {state === 'active' ? <span className="pulse size-2 rounded-full bg-info" /> : null}
        <span className="sr-only">{STATE_LABELS[state]}</span>
      </span>
      <span className={`flex-1 text-sm ${state === 'pending' ? 'text-muted' : 'font-medium'}`}>{STEP_WORDS[step]}</span>
      <span className="tabular text-[13px] text-muted">
        {elapsedMs === null ? '' : elapsedWords(elapsedMs)}
        {state === 'active' ? ` of at most ${durationWords(limitMs)}` : ''}
      </span>
      {state === 'active' ? (
        <span
          className={`absolute bottom-0 left-0 h-0.5 ${share > 0.8 ? 'bg-warn' : 'bg-info'}`}
          style={{ width: `${share * 100}%` }}
        />
      ) : null}
    </li>
  );
};

const Failure = ({ session }: { session: SessionView }) => {
  const start = useStart();
  const body = recallStart(sessionStorage, session.sessionId);
  const { reason } = session;
  return (
    <div className="mt-4 space-y-4" data-testid="boot-failure">
      <Notice look="danger" title={reason?.message ?? 'No reason was given.'}>
        {reason?.hint}
      </Notice>
      {reason?.lastScreen === undefined ? null : (
        <figure>
          <figcaption className="text-[13px] font-medium text-muted">Last screen</figcaption>
          <pre className="mt-1.5 max-h-80 overflow-auto rounded-xl bg-terminal p-4 font-mono text-xs leading-relaxed text-[#d9dcde]">
            {reason.lastScreen}
          </pre>
        </figure>
      )}
      {start.isError ? (
        <Notice look="danger" title="It could not be started again">
          {start.error.message}
        </Notice>
      ) : null}
      {body === null ? (
        <p className="text-sm text-muted">
          It was started elsewhere: start it again from there, or as a{' '}
          <Link to="/new" className="text-accent underline underline-offset-2">
            new session
          </Link>
          .
        </p>
      ) : (
        <Button rank="primary" disabled={start.isPending} onClick={() => start.mutate(body)} data-testid="retry">
          <Icon name="retry" /> {start.isPending ? 'Starting…' : 'Retry with the same settings'}
        </Button>
      )}
    </div>
  );
};
