/** The session played back in place of its terminal: the player, its marks to jump to, and parts where it is very long. */
import { useRef, useState } from 'react';
import { isFinal, type SessionView } from '../../../shared/session.ts';
import { Button } from '../ui/button.tsx';
import { Icon } from '../ui/icon.tsx';
import { Notice } from '../ui/notice.tsx';
import { plural } from '../ui/words.ts';
import type { Recording } from './load-recording.ts';
import { Player, type PlayerHandle } from './player.tsx';
import { type RecordingState, useRecording } from './use-recording.ts';

interface ReplayPaneProps {
  readonly session: SessionView;
  /** Back to the terminal. */
  readonly onLeave: () => void;
}

export const ReplayPane = ({ session, onLeave }: ReplayPaneProps) => {
  const { state, parts, part, setPart, again } = useRecording(session);
  return (
    <section
      aria-label="Replay"
      className="absolute inset-0 z-20 flex min-h-0 flex-col bg-terminal"
      data-testid="replay"
    >
      <div className="flex flex-wrap items-center gap-2 border-b border-line bg-surface px-3 py-1.5 text-sm">
        <Button small rank="quiet" onClick={onLeave} data-testid="replay-leave">
          <Icon name="back" /> Terminal
        </Button>
        <span className="flex-1 truncate text-[13px] text-muted">
          {isFinal(session.state)
            ? 'What the session printed'
            : 'What is stored so far; the newest output follows later'}
        </span>
        {parts > 1 ? (
          <label className="flex items-center gap-1.5 text-[13px]">
            Part
            <select
              className="rounded-md border border-line bg-surface px-1.5 py-1"
              value={part}
              onChange={({ target }) => setPart(Number(target.value))}
              data-testid="replay-part"
            >
              {Array.from({ length: parts }, (_, index) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: parts are numbered, and stay.
                <option key={index} value={index}>
                  {index + 1} of {parts}
                </option>
              ))}
            </select>
          </label>
        ) : null}
        {isFinal(session.state) ? null : (
          <Button small onClick={again}>
            Load again
          </Button>
        )}
      </div>
      <Body key={part} state={state} again={again} />
    </section>
  );
};

const Body = ({ state, again }: { state: RecordingState; again: () => void }) => {
  if (state.kind === 'ready') return <Playing recording={state.recording} />;
  if (state.kind === 'loading')
    return (
      <p className="m-auto p-6 text-sm text-white/70" role="status">
        Loading the recording… {Math.round(state.share * 100)} %
      </p>
    );
  return (
    <div className="m-auto max-w-md p-6">
      {state.kind === 'empty' ? (
        <Notice look="info" title="Nothing to play yet" testId="replay-empty">
          Output is stored every few minutes, and when the session ends.
        </Notice>
      ) : (
        <Notice look="danger" title="The recording cannot be loaded">
          {state.message}{' '}
          <Button small onClick={again}>
            Try again
          </Button>
        </Notice>
      )}
    </div>
  );
};

const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
/** `4:05`, `1:02:03`. */
const clockWords = (sec: number): string =>
  sec < 3_600
    ? `${Math.floor(sec / 60)}:${two(sec % 60)}`
    : `${Math.floor(sec / 3_600)}:${two((sec % 3_600) / 60)}:${two(sec % 60)}`;

const Playing = ({ recording }: { recording: Recording }) => {
  const player = useRef<PlayerHandle>(null);
  const [current, setCurrent] = useState(-1);
  const { marks, unreadable } = recording;
  return (
    <>
      {unreadable > 0 ? (
        <p className="bg-warn-soft px-3 py-1.5 text-[13px]" role="status">
          {plural(unreadable, 'piece')} of it could not be read: there the recording jumps.
        </p>
      ) : null}
      <Player text={recording.text} handle={player} onMark={setCurrent} />
      {marks.length === 0 ? null : (
        <ol
          aria-label="Marks"
          className="max-h-[28%] shrink-0 overflow-y-auto border-t border-line bg-surface py-1 text-[13px]"
        >
          {marks.map(({ timeSec, label }, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a recording's marks are numbered, and stay.
            <li key={index}>
              <button
                type="button"
                data-testid="replay-mark"
                aria-current={current === index ? 'step' : undefined}
                onClick={() => {
                  setCurrent(index);
                  player.current?.toMark(index);
                }}
                className={`flex w-full items-baseline gap-3 px-3 py-1 text-left hover:bg-raised ${current === index ? 'bg-raised font-medium' : ''}`}
              >
                <span className="tabular w-16 shrink-0 text-right font-mono text-muted">{clockWords(timeSec)}</span>
                <span className="truncate">{label}</span>
              </button>
            </li>
          ))}
        </ol>
      )}
    </>
  );
};
