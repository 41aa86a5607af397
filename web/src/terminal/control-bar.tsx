/** Who has the keyboard, who watches, and how to come to lead: by asking, and without an answer by taking it openly. */
import { isFinal, type SessionView } from '../../../shared/session.ts';
import type { StreamView } from '../../../shared/viewer/stream-view.ts';
import { BOOT_STATES } from '../session/boot-steps.ts';
import { Icon } from '../ui/icon.tsx';
import { situationWords } from '../ui/session-words.ts';
import { plural, sentence } from '../ui/words.ts';
import { PresenceList } from './presence-list.tsx';
import { ToolButton } from './tool-button.tsx';
import { viewerName } from './viewer-words.ts';

export interface ControlActions {
  readonly onAsk: () => void;
  readonly onStopAsking: () => void;
  readonly onTake: () => void;
  readonly onRelease: () => void;
}
interface ControlBarProps extends ControlActions {
  readonly session: SessionView;
  readonly view: StreamView | null;
  readonly ownId: string;
}

const restingWords = (session: SessionView, view: StreamView): string => {
  const { state, queuePosition } = session;
  if (isFinal(state)) return 'Ended';
  if (view.live === null) return 'Connecting…';
  if (queuePosition !== null) return 'Waits for a free runner';
  if (session.parked) return situationWords(session);
  return BOOT_STATES.has(state)
    ? 'The terminal opens when the agent starts'
    : 'The runner is away; the terminal goes on when it is back';
};

export const ControlBar = ({ session, view, ownId, ...actions }: ControlBarProps) => {
  if (view === null) return <span className="px-1 text-[13px] text-[#9aa3aa]">Transcript</span>;
  if (view.live !== true) {
    return (
      <span className="inline-flex items-center gap-2 px-1 text-[13px] text-[#9aa3aa]" data-testid="not-live">
        {restingWords(session, view)}
        <Pending chars={view.pendingChars} />
      </span>
    );
  }
  return (
    <>
      <Mode view={view} ownId={ownId} />
      <Pending chars={view.pendingChars} />
      <PresenceList presence={view.presence} controllerId={view.controllerId} ownId={ownId} />
      <Lead view={view} ownId={ownId} {...actions} />
    </>
  );
};

const Mode = ({ view, ownId }: { view: StreamView; ownId: string }) => {
  const controls = view.mode === 'control';
  const leader = view.presence.find(({ viewerId }) => viewerId === view.controllerId);
  const own = view.presence.find(({ viewerId }) => viewerId === ownId);
  return (
    <span
      data-testid="mode"
      data-mode={view.mode}
      title={leader?.device}
      className="inline-flex min-w-0 items-center gap-1.5 px-1 text-[13px]"
    >
      <Icon
        name={controls ? 'keyboard' : 'eye'}
        className={`size-4 ${controls ? 'text-[#63c9ab]' : 'text-[#e8b65a]'}`}
      />
      <span className="truncate">
        {controls
          ? 'You have the keyboard'
          : leader === undefined
            ? 'Watching, nobody types'
            : `Watching, ${viewerName(leader, own)} types`}
      </span>
    </span>
  );
};

/** What was typed and has not arrived. */
const Pending = ({ chars }: { chars: number }) =>
  chars === 0 ? null : (
    <span
      data-testid="pending"
      role="status"
      className="inline-flex items-center gap-1.5 rounded-full bg-[#e8b65a]/15 px-2 py-0.5 text-xs text-[#f0cf8e]"
    >
      <span className="pulse size-1.5 rounded-full bg-current" />
      {plural(chars, 'character')} on the way
    </span>
  );

const askingWords = (asking: NonNullable<StreamView['asking']>, leader: string): string => {
  if (asking === 'waiting') return `Asked ${leader}…`;
  return sentence(asking === 'declined' ? `${leader} keeps it` : `${leader} does not answer`);
};

const Lead = ({ view, ownId, ...actions }: ControlActions & { view: StreamView; ownId: string }) => {
  if (view.mode === 'control') {
    return (
      <ToolButton
        onClick={actions.onRelease}
        data-testid="release"
        className="max-sm:hidden"
        title="Watch only: your window no longer sets the terminal’s size"
      >
        Watch only
      </ToolButton>
    );
  }
  const leader = view.presence.find(({ viewerId }) => viewerId === view.controllerId);
  if (leader === undefined) {
    return (
      <ToolButton onClick={actions.onTake} data-testid="take-over" className="bg-white/10 text-white">
        <Icon name="keyboard" /> Take the keyboard
      </ToolButton>
    );
  }
  const own = view.presence.find(({ viewerId }) => viewerId === ownId);
  // Nobody has to consent to their own other window.
  const isSamePerson = own?.userId === leader.userId;
  const mayTake = view.asking === 'unanswered' || (isSamePerson && view.asking !== null);
  return (
    <>
      {view.asking === null || view.asking === 'declined' ? (
        <ToolButton onClick={actions.onAsk} data-testid="ask-control" className="bg-white/10 text-white">
          <Icon name="keyboard" /> {view.asking === null ? 'Ask for the keyboard' : 'Ask again'}
        </ToolButton>
      ) : null}
      {view.asking === null ? null : (
        <span role="status" data-testid="asking" data-asking={view.asking} className="px-1 text-[13px] text-[#c6cdd2]">
          {askingWords(view.asking, viewerName(leader, own))}
        </span>
      )}
      {mayTake ? (
        <ToolButton onClick={actions.onTake} data-testid="take-over" className="bg-white/10 text-white">
          Take control anyway
        </ToolButton>
      ) : null}
      {view.asking === 'waiting' || view.asking === 'unanswered' ? (
        <ToolButton onClick={actions.onStopAsking} data-testid="stop-asking">
          Cancel
        </ToolButton>
      ) : null}
    </>
  );
};
