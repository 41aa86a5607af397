/** Which durable events a recording marks, in words, and where in the terminal each stands. */
import type { SessionEvent } from '../events.ts';
import { CAST_MARKER_MAX_CHARS, CAST_MARKERS_MAX } from '../limits.ts';
import { controlWords } from './control-words.ts';

export interface CastMarker {
  readonly epoch: number;
  readonly offset: number;
  readonly atMs: number;
  readonly seq: number;
  readonly label: string;
  /** One of very many, left out first. */
  readonly isMinor: boolean;
  /** Says what is missing from here on. */
  readonly isGap?: boolean;
}

type Words = { readonly label: string; readonly isMinor?: boolean } | null;

/** Line breaks and control characters have no place in a label. */
const plain = (text: string): string =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out.
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\s]+/g, ' ')
    .trim();

const wordsOf = (event: SessionEvent): Words => {
  switch (event.type) {
    case 'turn_started':
      return { label: `turn ${event.turn}: ${event.prompt}` };
    case 'turn_finished':
      return { label: `turn ${event.turn} finished` };
    case 'tool_started':
      return { label: `${event.toolName}: ${event.summary}`, isMinor: true };
    case 'tool_denied':
      return { label: `denied ${event.toolName}: ${event.reason}` };
    case 'command_executed':
      return { label: `$ ${event.command}`, isMinor: true };
    case 'session_state_changed':
      return { label: `state: ${event.toState}${event.reason === null ? '' : ` (${event.reason.code})`}` };
    case 'approval_requested':
      return { label: `approval asked: ${event.summary}` };
    case 'approval_resolved':
      return { label: `approval: ${event.decision.decision.replaceAll('_', ' ')}` };
    case 'control_taken':
      return { label: controlWords(event).title };
    case 'session_frozen':
      return { label: event.frozen ? `frozen: ${event.reason}` : 'goes on' };
    case 'session_parked':
      return { label: 'parked' };
    case 'epoch_drained':
      return { label: `runner given back: ${event.why}` };
    case 'runner_lost':
      return { label: 'runner lost' };
    case 'runner_reconnected':
      return { label: 'runner reconnected' };
    case 'stream_gap':
      return { label: `${event.toOffset - event.fromOffset} bytes were not stored: ${event.reason}` };
    case 'alert_raised':
      return { label: `alert: ${event.message}` };
    default:
      return null;
  }
};

const markerOf = (event: SessionEvent): CastMarker[] => {
  const words = wordsOf(event);
  if (words === null) return [];
  const { epoch, ts: atMs, seq } = event;
  const isGap = event.type === 'stream_gap';
  // A gap stands where the bytes would be; its event came when they were given up.
  const offset = isGap ? event.fromOffset : event.offset;
  const label = [...plain(words.label)].slice(0, CAST_MARKER_MAX_CHARS).join('');
  return [{ epoch, offset, atMs, seq, label, isMinor: words.isMinor ?? false, ...(isGap ? { isGap } : {}) }];
};

/** Gathers events page by page, in any order, and keeps no more than a recording may have. */
export class CastMarkers {
  #kept: CastMarker[] = [];

  add(events: readonly SessionEvent[]): void {
    this.#kept.push(...events.flatMap(markerOf));
    if (this.#kept.length > 2 * CAST_MARKERS_MAX) this.#kept = this.#bounded();
  }

  /** In the order of the stream. */
  list(): CastMarker[] {
    return this.#bounded().sort((a, b) => a.epoch - b.epoch || a.offset - b.offset || a.seq - b.seq);
  }

  #bounded(): CastMarker[] {
    if (this.#kept.length <= CAST_MARKERS_MAX) return [...this.#kept];
    const major = this.#kept.filter(({ isMinor }) => !isMinor);
    return major.slice(0, CAST_MARKERS_MAX);
  }
}
