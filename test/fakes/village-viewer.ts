/** A person at a session of a real village, with the page's own stream code: what was seen is kept, so that it can be compared with what is stored. */
import { createApiClient } from '../../cli/api-client.ts';
import { viewerLine } from '../../cli/viewer/dial.ts';
import { createScreenText } from '../../cli/viewer/screen-text.ts';
import { systemClock, systemRandom } from '../../shared/clock.ts';
import type { SessionEvent } from '../../shared/events.ts';
import type { StreamAddress, TerminalSize } from '../../shared/session.ts';
import type { InputLoss } from '../../shared/viewer/input-sender.ts';
import { SessionStream } from '../../shared/viewer/session-stream.ts';
import type { TerminalSink } from '../../shared/viewer/stream-terminal.ts';
import type { StreamView } from '../../shared/viewer/stream-view.ts';
import type { Endpoint } from './village.ts';

const VIEWER_ID_BYTES = 8;
/** Of what was written since the last screen was drawn anew. */
const TAIL_MAX_CHARS = 64 * 1_024;

export interface TestViewer {
  type(text: string): void;
  view(): StreamView;
  /** Has the keyboard. */
  leads(): boolean;
  address(): StreamAddress | undefined;
  /** Nothing that anybody told of is missing. */
  isCaughtUp(): boolean;
  /** The end of what was drawn, as it came. */
  tail(): string;
  /** The screen with its scrollback, as a person reads it. */
  lines(): Promise<string[]>;
  /** Every durable event that was shown. */
  readonly events: readonly SessionEvent[];
  /** Keys that never reached the program. */
  readonly lost: readonly InputLoss[];
  /** Called with all that is drawn, as it comes. */
  onData: (data: string) => void;
  /** Does not wait for its next try. */
  wake(): void;
  close(): void;
}

export interface TestViewerOptions {
  readonly endpoint: Endpoint;
  readonly sessionId: string;
  readonly mode?: 'control' | 'watch';
  readonly size?: TerminalSize;
  /** Where to begin; without it with a snapshot. */
  readonly from?: StreamAddress;
}

export const testViewer = (options: TestViewerOptions): TestViewer => {
  const { endpoint, sessionId, mode = 'control', size = { cols: 120, rows: 32 }, from } = options;
  const screen = createScreenText(size);
  const line = viewerLine(createApiClient(endpoint));
  const events: SessionEvent[] = [];
  const lost: InputLoss[] = [];
  const viewerId = `test-${systemRandom.hex(VIEWER_ID_BYTES)}`;
  let tail = '';
  const sink: TerminalSink = {
    ...screen,
    apply(actions) {
      screen.apply(actions);
      for (const action of actions) {
        if (action.kind === 'reset' || action.kind === 'divide') tail = '';
        if (action.kind !== 'write') continue;
        tail = (tail + action.data).slice(-TAIL_MAX_CHARS);
        viewer.onData(action.data);
      }
    },
  };
  const stream: SessionStream = new SessionStream(
    { sessionId, viewerId, mode, takeOver: mode === 'control', size, from },
    {
      clock: systemClock,
      random: systemRandom,
      ticket: () =>
        line.ticket().then(
          (ticket) => ({ kind: 'ticket' as const, ticket }),
          // The line is cut, or the village is down: tried again.
          (error: unknown) => ({ kind: 'failed' as const, message: String(error) }),
        ),
      dial: line.dial,
      terminal: sink,
      onView: () => {},
      onAttached: () => {},
      onStateChange: () => {},
      onEvent: (event) => void events.push(event),
      onInputLoss: (loss) => void lost.push(loss),
      onNotLive: () => {},
    },
  );
  const viewer: TestViewer = {
    type: (text) => stream.type(text),
    view: () => stream.view,
    leads: () => stream.view.controllerId === viewerId,
    address: () => stream.address,
    isCaughtUp: () => stream.caughtUp,
    tail: () => tail,
    lines: async () => {
      await screen.flush();
      return screen.lines();
    },
    events,
    lost,
    onData: () => {},
    wake: () => stream.wake(),
    close: () => {
      stream.stop();
      screen.dispose();
    },
  };
  stream.start();
  return viewer;
};
