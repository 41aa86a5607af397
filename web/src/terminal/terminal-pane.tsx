/** The terminal with what surrounds it: connection, who types, search, size, following, keys for touch. */
import { useEffect, useRef, useState } from 'react';
import { toast } from 'sonner';
import type { SessionEvent } from '../../../shared/events.ts';
import type { SessionView } from '../../../shared/session.ts';
import type { InputLoss } from '../../../shared/viewer/input-sender.ts';
import type { StreamView } from '../../../shared/viewer/stream-view.ts';
import type { ReplayResult } from '../session/load-transcript.ts';
import { plural } from '../ui/words.ts';
import { ConnectionBanner, ReplayBanner } from './banners.tsx';
import { ControlBar } from './control-bar.tsx';
import { SearchBar } from './search-bar.tsx';
import { TerminalController } from './terminal-controller.ts';
import { useTerminalSettings } from './terminal-settings.ts';
import { TerminalTools } from './terminal-tools.tsx';
import { TouchKeys } from './touch-keys.tsx';

export interface TerminalPaneProps {
  readonly session: SessionView;
  readonly onEvent: (event: SessionEvent) => void;
  readonly onSession: (session: SessionView) => void;
  readonly onStateChange: () => void;
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
const tellLoss = ({ characters, reason }: InputLoss): void => {
  toast.warning(`${plural(characters, 'character')} not delivered: ${LOSS_WORDS[reason]}.`, { id: `loss-${reason}` });
};

export const TerminalPane = ({ session, onEvent, onSession, onStateChange }: TerminalPaneProps) => {
  const host = useRef<HTMLDivElement>(null);
  const controller = useRef<TerminalController | null>(null);
  const [view, setView] = useState<StreamView | null>(null);
  const [replay, setReplay] = useState<'loading' | ReplayResult | Error | null>(null);
  const [follow, setFollow] = useState(true);
  const [selected, setSelected] = useState(false);
  const [searching, setSearching] = useState(false);
  const settings = useTerminalSettings();
  const reports = useRef({ onEvent, onSession, onStateChange });
  reports.current = { onEvent, onSession, onStateChange };
  const opened = useRef(session);
  const fontAtOpen = useRef(settings.fontPx);

  useEffect(() => {
    if (host.current === null) return;
    const created = new TerminalController(host.current, opened.current, fontAtOpen.current, {
      onView: setView,
      onSession: (next) => reports.current.onSession(next),
      onStateChange: () => reports.current.onStateChange(),
      onEvent: (event) => reports.current.onEvent(event),
      onInputLoss: tellLoss,
      onFollow: setFollow,
      onReplay: setReplay,
      onSelection: setSelected,
      epochWords: (epoch) => `the session went on (epoch ${epoch})`,
    });
    controller.current = created;
    return () => {
      controller.current = null;
      created.dispose();
    };
  }, []);
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
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const controls = view?.mode === 'control';
  return (
    <section
      aria-label="Terminal"
      data-testid="terminal-pane"
      onKeyDownCapture={onKeyDown}
      className="flex min-h-0 flex-1 flex-col bg-terminal text-[#d9dcde]"
    >
      <div className="flex min-h-11 flex-wrap items-center gap-x-2 gap-y-1 border-b border-white/10 px-2 py-1 sm:px-3">
        <ControlBar
          state={session.state}
          view={view}
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
      <ConnectionBanner view={view} onRetry={() => controller.current?.reconnect()} />
      <ReplayBanner replay={replay} />
      <div className="relative min-h-0 flex-1 overflow-auto p-2">
        <div ref={host} data-testid="terminal" className="h-full min-w-0" />
      </div>
      {controls ? <TouchKeys onKey={(text) => controller.current?.type(text)} /> : null}
    </section>
  );
};
