/** The terminal with what surrounds it: connection, who types, search, size, following, keys for touch. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { toast } from 'sonner';
import type { SessionEvent } from '../../../shared/events.ts';
import { isFinal, type SessionView } from '../../../shared/session.ts';
import type { InputLoss } from '../../../shared/viewer/input-sender.ts';
import type { StreamView } from '../../../shared/viewer/stream-view.ts';
import type { ReplayResult } from '../session/load-transcript.ts';
import { plural } from '../ui/words.ts';
import { BannerStack } from './banner.tsx';
import { ConnectionBanner } from './connection-banner.tsx';
import { ControlBar } from './control-bar.tsx';
import { ControlQuestion } from './control-question.tsx';
import { ReplayBanner } from './replay-banner.tsx';
import { SearchBar } from './search-bar.tsx';
import { newViewerId, TerminalController } from './terminal-controller.ts';
import { useTerminalSettings } from './terminal-settings.ts';
import { TerminalTools } from './terminal-tools.tsx';
import { TouchKeys } from './touch-keys.tsx';

export interface TerminalPaneProps {
  readonly session: SessionView;
  /** Events are there without a hole up to this one. */
  readonly eventsUpTo: number;
  readonly epochWords: (epoch: number) => string;
  /** About the session itself, over the terminal. */
  readonly notices: ReactNode;
  readonly onEvent: (event: SessionEvent) => void;
  readonly onSession: (session: SessionView) => void;
  readonly onStateChange: () => void;
  /** The keyboard goes on behind the terminal, which takes every key, Tab too. */
  readonly onLeave: () => void;
}

const LOSS_WORDS: Readonly<Record<InputLoss['reason'], string>> = {
  hole: 'part of it was lost on the way',
  overflow: 'the runner had too much waiting',
  not_controller: 'somebody else has the keyboard',
  not_running: 'the agent was not running',
  control_moved: 'the keyboard went to somebody else meanwhile',
  too_fast: 'too much is waiting already',
  moved_on: 'it was typed at the screen of an earlier runner',
};
const LOSS_SHOWN_MS = 20_000;
/** How much, never what: it may have been a password. Its person can have it back. */
const tellLoss = ({ characters, text, reason }: InputLoss): void => {
  toast.warning(`${plural(characters, 'typed character')} not delivered: ${LOSS_WORDS[reason]}.`, {
    duration: LOSS_SHOWN_MS,
    action: { label: 'Copy them', onClick: () => void navigator.clipboard.writeText(text) },
  });
};

export const TerminalPane = ({
  session,
  eventsUpTo,
  epochWords,
  notices,
  onEvent,
  onSession,
  onStateChange,
  onLeave,
}: TerminalPaneProps) => {
  const host = useRef<HTMLDivElement>(null);
  const controller = useRef<TerminalController | null>(null);
  const [view, setView] = useState<StreamView | null>(null);
  const [replay, setReplay] = useState<'loading' | ReplayResult | Error | null>(null);
  const [follow, setFollow] = useState(true);
  const [selected, setSelected] = useState(false);
  const [searching, setSearching] = useState(false);
  const [viewerId] = useState(newViewerId);
  const settings = useTerminalSettings();
  const reports = useRef({ onEvent, onSession, onStateChange, epochWords });
  reports.current = { onEvent, onSession, onStateChange, epochWords };
  const opened = useRef(session);
  const fontAtOpen = useRef(settings.fontPx);

  useEffect(() => {
    if (host.current === null) return;
    const start = { session: opened.current, viewerId, fontPx: fontAtOpen.current };
    const created = new TerminalController(host.current, start, {
      onView: setView,
      onSession: (next) => reports.current.onSession(next),
      onStateChange: () => reports.current.onStateChange(),
      onEvent: (event) => reports.current.onEvent(event),
      onInputLoss: tellLoss,
      onFollow: setFollow,
      onReplay: setReplay,
      onSelection: setSelected,
      epochWords: (epoch) => reports.current.epochWords(epoch),
    });
    controller.current = created;
    return () => {
      controller.current = null;
      created.dispose();
    };
  }, [viewerId]);
  useEffect(() => controller.current?.setFont(settings.fontPx), [settings.fontPx]);
  useEffect(() => controller.current?.setScreenReader(settings.screenReader), [settings.screenReader]);

  const copy = () => {
    const text = controller.current?.text() ?? '';
    navigator.clipboard.writeText(text).then(
      () => toast.success(selected ? 'Selection copied' : 'Terminal copied'),
      () => toast.error('The browser did not allow copying'),
    );
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    if (!event.ctrlKey || !event.shiftKey) return;
    if (event.code === 'KeyF') setSearching(true);
    else if (event.code === 'KeyC' && selected) copy();
    else if (event.code === 'KeyX') onLeave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const controls = view?.mode === 'control';
  return (
    <section
      aria-label="Terminal"
      data-testid="terminal-pane"
      data-takes-keys={isFinal(session.state) ? undefined : ''}
      onKeyDownCapture={onKeyDown}
      className="flex min-h-0 flex-1 flex-col bg-terminal text-[#d9dcde]"
    >
      <div className="flex min-h-11 flex-wrap items-center gap-x-2 gap-y-1 border-b border-white/10 px-2 py-1 sm:px-3">
        <ControlBar
          session={session}
          view={view}
          ownId={viewerId}
          onAsk={() => controller.current?.askControl()}
          onStopAsking={() => controller.current?.stopAsking()}
          onTake={() => controller.current?.takeControl()}
          onRelease={() => controller.current?.watchOnly()}
        />
        <span className="flex-1" />
        <TerminalTools
          settings={settings}
          follow={follow}
          onFollow={(next) => controller.current?.setFollow(next)}
          onSearch={() => setSearching(!searching)}
          onCopy={copy}
          selected={selected}
        />
      </div>
      {searching ? (
        <SearchBar
          onFind={(text, direction) => controller.current?.find(text, direction) ?? false}
          onClose={() => {
            setSearching(false);
            controller.current?.find('', 'next');
            controller.current?.focus();
          }}
        />
      ) : null}
      {view === null ? (
        <div className="flex px-2 pt-2 empty:hidden">
          <ReplayBanner replay={replay} />
        </div>
      ) : null}
      <div className="relative min-h-0 flex-1">
        <BannerStack>
          <ConnectionBanner view={view} eventsUpTo={eventsUpTo} onRetry={() => controller.current?.reconnect()} />
          <ControlQuestion
            askedBy={view?.askedBy ?? null}
            own={view?.presence.find((viewer) => viewer.viewerId === viewerId)}
            onAnswer={(allow) => controller.current?.answerControl(allow)}
          />
          {notices}
          {view === null ? null : <ReplayBanner replay={replay} />}
        </BannerStack>
        <div className="absolute inset-0 overflow-auto p-2">
          <div ref={host} data-testid="terminal" className="h-full min-w-0" />
        </div>
      </div>
      {controls ? <TouchKeys onKey={(text) => controller.current?.type(text)} /> : null}
    </section>
  );
};
