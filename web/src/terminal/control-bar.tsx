/** Who has the keyboard, who watches, and how to take it over. */

import { isFinal, type SessionState } from '../../../shared/session.ts';
import type { StreamView } from '../../../shared/viewer/stream-view.ts';
import { BOOT_STATES } from '../session/boot-steps.ts';
import { Icon } from '../ui/icon.tsx';
import { plural } from '../ui/words.ts';
import { ToolButton } from './tool-button.tsx';

interface ControlBarProps {
  readonly state: SessionState;
  readonly view: StreamView | null;
  readonly onTake: () => void;
  readonly onRelease: () => void;
}

const restingWords = (state: SessionState, view: StreamView): string => {
  if (isFinal(state)) return 'Ended';
  if (view.live === null) return 'Connecting…';
  return BOOT_STATES.has(state)
    ? 'The terminal opens when the agent starts'
    : 'The runner is away; the terminal goes on when it is back';
};

export const ControlBar = ({ state, view, onTake, onRelease }: ControlBarProps) => {
  if (view === null) return <span className="px-1 text-[13px] text-[#9aa3aa]">Transcript</span>;
  if (view.live !== true) {
    return (
      <span className="px-1 text-[13px] text-[#9aa3aa]" data-testid="not-live">
        {restingWords(state, view)}
      </span>
    );
  }
  const controls = view.mode === 'control';
  const others = view.presence.length - 1;
  return (
    <>
      <span data-testid="mode" data-mode={view.mode} className="inline-flex items-center gap-1.5 px-1 text-[13px]">
        <Icon
          name={controls ? 'keyboard' : 'eye'}
          className={`size-4 ${controls ? 'text-[#63c9ab]' : 'text-[#e8b65a]'}`}
        />
        {controls ? 'You have the keyboard' : view.controllerId === null ? 'Watching' : 'Watching, somebody else types'}
      </span>
      {others > 0 ? (
        <span
          data-testid="presence"
          className="rounded-full bg-white/10 px-2 py-0.5 text-xs text-[#b6bdc3]"
          title={view.presence
            .map((viewer) => `${viewer.userId} (${viewer.mode === 'control' ? 'types' : 'watches'})`)
            .join('\n')}
        >
          {plural(others, 'other viewer')}
        </span>
      ) : null}
      {controls ? (
        <ToolButton
          onClick={onRelease}
          data-testid="release"
          className="max-sm:hidden"
          title="Watch only: your window no longer sets the terminal’s size"
        >
          Watch only
        </ToolButton>
      ) : (
        <ToolButton onClick={onTake} data-testid="take-over" className="bg-white/10 text-white">
          <Icon name="keyboard" /> {view.controllerId === null ? 'Take the keyboard' : 'Take over'}
        </ToolButton>
      )}
    </>
  );
};
