/** Each durable event as one line for people, and which of them matter at a glance. */
import type { EventType, SessionEvent } from '../../../shared/events.ts';
import { controlWords } from '../../../shared/viewer/control-words.ts';
import { durationWords, elapsedWords, plural, providerName, STATE_WORDS, STEP_WORDS, sizeWords } from '../ui/words.ts';

export type EventTone = 'plain' | 'good' | 'warn' | 'bad';
export interface EventWords {
  readonly title: string;
  readonly detail: string;
  readonly tone: EventTone;
}

/** Bookkeeping: true and kept, but shown only when asked for. */
export const QUIET_EVENTS: ReadonlySet<EventType> = new Set([
  'usage_tick',
  'transcript_chunk_stored',
  'terminal_resized',
  'session_assigned',
  'runner_registered',
  'workspace_cleaned',
  'workspace_checkpointed',
  'desired_changed',
  'tool_started',
  'input_received',
  'model_usage',
]);

/** Besides those: what another line of the list says already. */
export const isQuiet = (event: SessionEvent): boolean =>
  QUIET_EVENTS.has(event.type) ||
  (event.type === 'tool_finished' && event.ok) ||
  (event.type === 'session_state_changed' &&
    (event.toState === 'preparing_workspace' || event.toState === 'starting_provider'));

const words = (title: string, detail = '', tone: EventTone = 'plain'): EventWords => ({ title, detail, tone });
const exit = (code: number | null): string => (code === null ? 'no exit code' : `exit ${code}`);

/** `file_touched` → `File touched`: for types without a line of their own. */
const spoken = (type: string): string => {
  const text = type.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
};

export const eventWords = (event: SessionEvent): EventWords =>
  sessionWords(event) ?? agentWords(event) ?? workWords(event) ?? words(spoken(event.type));

const sessionWords = (event: SessionEvent): EventWords | null => {
  switch (event.type) {
    case 'session_created':
      return words('Session created', `${providerName(event.provider)} on ${event.buildId}`);
    case 'session_state_changed': {
      const tone = event.toState === 'failed' ? 'bad' : event.toState === 'waiting_for_approval' ? 'warn' : 'plain';
      return words(STATE_WORDS[event.toState], event.reason?.message ?? '', tone);
    }
    case 'session_queued':
      return words('Queued', `position ${event.position}`);
    case 'session_parked':
      return words('Parked', 'its work is stored; it waits for a person', 'warn');
    case 'session_resumed':
      return words('Went on', event.checkpointKey === null ? 'without a checkpoint' : 'from its checkpoint', 'good');
    case 'epoch_drained':
      return words('Given back by its runner', event.why);
    case 'workspace_checkpointed':
      return words('Work stored', sizeWords(event.sizeBytes));
    case 'runner_draining':
      return words('Its runner is drained', event.why);
    case 'session_ended':
      return words('Session ended', `${STATE_WORDS[event.state]} after ${durationWords(event.durationMs)}`);
    case 'workspace_preparing':
      return words(STEP_WORDS[event.step], event.repository);
    case 'workspace_ready':
      return words(
        'Workspace ready',
        `${event.branch ?? 'detached'} at ${event.headCommit.slice(0, 10)}, ${elapsedWords(event.tookMs)}`,
      );
    case 'control_taken': {
      const { title, detail } = controlWords(event);
      return words(title, detail);
    }
    case 'desired_changed':
      return words(`Asked to ${event.desired}`, `by ${event.by}`);
    case 'session_frozen':
      return words(event.frozen ? 'Frozen' : 'Thawed', event.reason, event.frozen ? 'warn' : 'plain');
    case 'runner_disconnected':
      return words('Runner lost its connection', event.why, 'warn');
    case 'runner_reconnected':
      return words('Runner is back', `after ${durationWords(event.goneMs)}`);
    case 'runner_lost':
      return words('Runner lost', event.why, 'bad');
    case 'alert_raised':
      return words('Alert', event.message, 'bad');
    case 'stream_gap':
      return words('Output missing', `${sizeWords(event.toOffset - event.fromOffset)}: ${event.reason}`, 'warn');
    case 'transcript_chunk_stored':
      return words('Transcript stored', sizeWords(event.sizeBytes));
    default:
      return null;
  }
};

const agentWords = (event: SessionEvent): EventWords | null => {
  switch (event.type) {
    case 'provider_started':
      return words('Agent started', `${providerName(event.provider)} ${event.cliVersion}`);
    case 'provider_ready':
      return words(
        'Agent ready',
        event.degraded ? 'degraded' : elapsedWords(event.tookMs),
        event.degraded ? 'warn' : 'good',
      );
    case 'provider_message':
      return words(event.role === 'assistant' ? 'Agent says' : 'Message', event.text);
    case 'provider_idle':
      return words('Agent is idle', `${plural(event.turnsDone, 'turn')} done`);
    case 'provider_exited':
      return words('Agent exited', exit(event.exitCode), event.expected ? 'plain' : 'bad');
    case 'turn_started':
      return words(`Turn ${event.turn}`, event.prompt);
    case 'turn_finished':
      return words(`Turn ${event.turn} done`, elapsedWords(event.tookMs), 'good');
    case 'gate_proven':
      return words('Approval gate proven', spoken(event.proof), 'good');
    case 'gate_lost':
      return words('Approval gate lost', event.reason, 'bad');
    case 'tool_requested':
    case 'tool_started':
      return words(event.toolName, event.summary);
    case 'tool_finished':
      return words(
        `${event.toolName} ${event.ok ? 'done' : 'failed'}`,
        elapsedWords(event.tookMs),
        event.ok ? 'plain' : 'warn',
      );
    case 'tool_denied':
      return words(`${event.toolName} denied`, `${event.rule}: ${event.reason}`, 'warn');
    case 'approval_requested':
      return words('Approval needed', event.summary, 'warn');
    case 'approval_resolved':
      return words('Approval answered', spoken(event.decision.decision));
    default:
      return null;
  }
};

const workWords = (event: SessionEvent): EventWords | null => {
  switch (event.type) {
    case 'file_touched': {
      const names = event.files.map((file) => file.path).join(', ');
      return words(plural(event.files.length + event.more, 'file changed', 'files changed'), names);
    }
    case 'diff_summary':
      return words('Diff', `${plural(event.fileCount, 'file')}, +${event.linesAdded} −${event.linesRemoved}`);
    case 'commit_created':
      return words('Commit', `${event.commit.slice(0, 10)} ${event.subject}`, 'good');
    case 'branch_pushed':
      return words('Branch pushed', event.branch, 'good');
    case 'pull_request_opened':
      return words(`Pull request #${event.number}`, event.url, 'good');
    case 'command_executed':
      return words('Command', `${event.command}${event.exitCode === null ? '' : ` (${exit(event.exitCode)})`}`);
    case 'test_run_finished':
      return words('Tests', `${event.framework}: ${exit(event.exitCode)}`, event.exitCode === 0 ? 'good' : 'bad');
    case 'policy_violation':
      return words('Policy violation', event.summary, 'warn');
    case 'secret_redacted':
      return words('Secret masked', `${plural(event.count, 'time')} in the ${event.where}`, 'warn');
    case 'input_received':
      return words('Input', `${sizeWords(event.sizeBytes)} from ${event.source}`);
    case 'usage_tick':
      return words('Usage', `${durationWords(event.counters.agentMs)} of agent time`);
    default:
      return null;
  }
};
