/** What a control plane would say while a start is rehearsed: the frames of a start are read and written once before they count. */
import type { Assign, ControlToRunnerFrame } from '../../../shared/frames.ts';
import { parseFrame } from '../transport/connection.ts';

const VIEWER = 'rehearsal';

export interface RehearsalLine {
  /** As a port of the session: takes a frame and answers it in a later turn of the loop. */
  send(text: string): boolean;
  /** The session was begun: its stream is opened, and somebody watches. */
  open(onFrame: (frame: ControlToRunnerFrame) => void): void;
  /** The viewer has seen something. */
  readonly hasShown: boolean;
}

/** Reads a frame as it would come from the line. Throws on one that does not fit. */
const read = (frame: ControlToRunnerFrame): ControlToRunnerFrame => {
  const parsed = parseFrame(JSON.stringify(frame));
  if (parsed.kind !== 'frame') throw new Error(`a frame of the rehearsal does not fit: ${frame.type}`);
  return parsed.frame;
};

/** Called for its effect: the first assignment compiles what reads it. */
export const readAssign = (assign: Assign): void => void read(assign);

export const rehearsalLine = ({ sessionId, epoch }: Pick<Assign, 'sessionId' | 'epoch'>): RehearsalLine => {
  const session = { sessionId, epoch };
  let hasShown = false;
  let deliver: (frame: ControlToRunnerFrame) => void = () => {};
  const say = (frame: ControlToRunnerFrame): void => void setImmediate(() => deliver(read(frame)));
  return {
    send(text) {
      const frame: { type: string; firstRseq: number; events: readonly unknown[] } = JSON.parse(text);
      if (frame.type === 'terminal_output') hasShown = true;
      if (frame.type === 'runner_events') {
        const { firstRseq, events } = frame;
        say({ type: 'ack', ...session, firstRseq, ackedRseq: firstRseq + events.length - 1, headSeq: 0, grants: [] });
      }
      return true;
    },
    open(onFrame) {
      deliver = onFrame;
      const watchers = { viewers: [], controllerId: null, controlTerm: 0, rev: 0 };
      const entry = { ...session, ackedRseq: 0, open: true, decisions: [], watchers, grants: [] };
      const sessions = [{ ...entry, desired: { desired: 'run' as const, rev: 0 } }];
      say({ type: 'welcome', dial: 1, sessions, desired: 'serve' });
      const lead = { controllerId: VIEWER, controlTerm: 1 };
      say({ type: 'viewers', ...session, rev: 1, viewers: [{ viewerId: VIEWER, mode: 'control' }], ...lead });
    },
    get hasShown() {
      return hasShown;
    },
  };
};
