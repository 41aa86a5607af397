/** Turns what an adapter reports into the session's durable events: from here on nothing knows which CLI it was. */
import type { DiffFile, EventDraft } from '../../../shared/events.ts';
import { EVENT_FILES_MAX } from '../../../shared/limits.ts';
import type { ProviderId } from '../../../shared/providers.ts';
import type { ProviderEvent } from '../adapters/contract.ts';

export interface ProviderContext {
  readonly provider: ProviderId;
  readonly isolation: 'own_uid' | 'shared_uid';
}

const cut = (text: string, maxChars: number): string => (text.length <= maxChars ? text : text.slice(0, maxChars));

/** `null`: a hint for the session, not an event. Texts are cut to what the event schema takes. */
export const eventOf = (event: ProviderEvent, context: ProviderContext): EventDraft | null => {
  switch (event.type) {
    case 'PROVIDER_STARTED':
      return { type: 'provider_started', ...context, cliVersion: cut(event.cliVersion, 60), pid: event.pid };
    case 'PROVIDER_READY':
      return { type: 'provider_ready', tookMs: event.tookMs, degraded: event.degraded };
    case 'PROVIDER_MESSAGE':
      return { type: 'provider_message', role: event.role, text: cut(event.text, 4_000) };
    case 'HINT_COMMAND_EXECUTED':
      return {
        type: 'command_executed',
        command: cut(event.command, 2_000),
        exitCode: event.exitCode,
        tookMs: event.tookMs,
      };
    case 'TURN_STARTED':
      return { type: 'turn_started', turn: event.turn, prompt: cut(event.prompt, 2_000) };
    case 'TURN_FINISHED':
      return { type: 'turn_finished', turn: event.turn, tookMs: event.tookMs };
    case 'TURN_CUT': {
      const message =
        'The runner was started again in the middle of an answer of the model; the agent is asked to go on.';
      return { type: 'alert_raised', code: 'model_answer_cut', message };
    }
    case 'TOOL_REQUESTED':
    case 'TOOL_STARTED': {
      const type = event.type === 'TOOL_REQUESTED' ? 'tool_requested' : 'tool_started';
      return { type, ...toolOf(event), summary: cut(event.summary, 2_000) };
    }
    case 'TOOL_FINISHED':
      return { type: 'tool_finished', ...toolOf(event), ok: event.ok, tookMs: event.tookMs };
    case 'TOOL_DENIED':
      return { type: 'tool_denied', ...toolOf(event), rule: cut(event.rule, 120), reason: cut(event.reason, 1_000) };
    case 'PROVIDER_IDLE':
      return { type: 'provider_idle', turnsDone: event.turnsDone };
    case 'MODEL_USAGE': {
      const { messageId, model, tokens, label } = event;
      return { type: 'model_usage', model: cut(model, 100), tokens, messageId: cut(messageId, 120), label };
    }
    case 'GATE_PROVEN':
      return { type: 'gate_proven', proof: event.proof, cliInstanceId: cut(event.cliInstanceId, 80) };
    case 'GATE_LOST':
      return { type: 'gate_lost', reason: cut(event.reason, 500) };
    case 'PROVIDER_EXITED':
      return { type: 'provider_exited', exitCode: event.exitCode, signal: event.signal, expected: event.expected };
    // Approvals are not built yet: the gate has denied such a call, which TOOL_DENIED says.
    case 'REQUEST_APPROVAL':
    case 'HINT_FILES_TOUCHED':
    case 'HINT_DIFF_AVAILABLE':
      return null;
  }
};

const toolOf = ({ toolUseId, toolName }: { toolUseId: string; toolName: string }) => ({
  toolUseId: cut(toolUseId, 120),
  toolName: cut(toolName, 120),
});

export interface TouchedFile {
  readonly path: string;
  readonly kind: 'added' | 'modified' | 'deleted';
}

/** Serialised bytes the list of files of one event may take. */
const FILES_MAX_BYTES = 12 * 1024;

const fitting = <T>(files: readonly T[]): T[] => {
  let sizeBytes = 0;
  const taken: T[] = [];
  for (const file of files) {
    sizeBytes += Buffer.byteLength(JSON.stringify(file)) + 1;
    if (taken.length >= EVENT_FILES_MAX || sizeBytes > FILES_MAX_BYTES) break;
    taken.push(file);
  }
  return taken;
};

/** `more` counts the files that do not fit, and `dropped` ones the watcher did not name. */
export const fileTouched = (changes: readonly TouchedFile[], dropped: number): EventDraft => {
  const files = fitting(changes.filter(({ path }) => path.length <= 1_024));
  return { type: 'file_touched', files, more: changes.length - files.length + dropped };
};

export interface DiffTotals {
  readonly files: readonly DiffFile[];
  readonly linesAdded: number;
  readonly linesRemoved: number;
  readonly truncated: boolean;
}

export const diffSummaryEvent = (diff: DiffTotals, key: string | null): EventDraft => {
  const files = fitting(diff.files);
  const { linesAdded, linesRemoved } = diff;
  const truncated = diff.truncated || files.length < diff.files.length;
  return { type: 'diff_summary', files, fileCount: diff.files.length, linesAdded, linesRemoved, truncated, key };
};
