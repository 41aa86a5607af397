/** Tells when what is shown may not be the newest, that nothing typed is lost, and what a cut cost once it is over. */
import { Link } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import type { Recovered } from '../../../shared/viewer/stream-recovery.ts';
import type { StreamView } from '../../../shared/viewer/stream-view.ts';
import { useNow } from '../ui/use-now.ts';
import { plural } from '../ui/words.ts';
import { Banner } from './banner.tsx';
import { ToolButton } from './tool-button.tsx';

const RECOVERED_SHOWN_MS = 6_000;

interface ConnectionBannerProps {
  readonly view: StreamView | null;
  /** Events are there without a hole up to this one. */
  readonly eventsUpTo: number;
  readonly onRetry: () => void;
}

const waitingWords = (pendingChars: number): string =>
  pendingChars === 0
    ? 'What you type is kept.'
    : `${plural(pendingChars, 'character')} you typed ${pendingChars === 1 ? 'waits' : 'wait'}.`;

export const ConnectionBanner = ({ view, eventsUpTo, onRetry }: ConnectionBannerProps) => {
  if (view === null) return null;
  const { socket, mode, pendingChars } = view;
  const kept = mode === 'control' ? waitingWords(pendingChars) : 'Nothing is lost: the terminal catches up.';
  if (socket.kind === 'signed_out') {
    return (
      <Banner testId="reconnect-banner" look="warn" role="alert">
        You are signed out, so the terminal stands still.
        <Link to="/" className="underline">
          Sign in again
        </Link>
      </Banner>
    );
  }
  if (socket.kind === 'waiting') return <Waiting retryAtMs={socket.retryAtMs} kept={kept} onRetry={onRetry} />;
  if (socket.kind === 'connecting' && socket.attempt > 0) {
    return (
      <Banner testId="reconnect-banner" look="warn">
        Connection lost. Reconnecting… {kept}
      </Banner>
    );
  }
  if (socket.kind === 'open' && socket.doubtful) {
    return (
      <Banner testId="reconnect-banner" look="warn">
        The connection does not answer. {kept}
      </Banner>
    );
  }
  if (view.problem !== null) {
    return (
      <Banner testId="stream-problem" look="warn">
        {view.problem}
      </Banner>
    );
  }
  return view.recovered === null ? null : (
    <RecoveredBanner key={view.recovered.atMs} recovered={view.recovered} eventsUpTo={eventsUpTo} />
  );
};

const Waiting = ({ retryAtMs, kept, onRetry }: { retryAtMs: number; kept: string; onRetry: () => void }) => {
  const nowMs = useNow(500);
  const seconds = Math.max(0, Math.ceil((retryAtMs - nowMs) / 1_000));
  return (
    <Banner testId="reconnect-banner" look="warn">
      <span>
        Connection lost. {seconds < 2 ? 'Reconnecting…' : `Next try in ${seconds} s.`} {kept}
      </span>
      <ToolButton onClick={onRetry} className="bg-white/10">
        Try now
      </ToolButton>
    </Banner>
  );
};

const RecoveredBanner = ({ recovered, eventsUpTo }: { recovered: Recovered; eventsUpTo: number }) => {
  const [phase, setPhase] = useState<'shown' | 'fading' | 'gone'>('shown');
  const isRead = eventsUpTo >= recovered.headSeq || recovered.events === 0;
  useEffect(() => {
    if (!isRead) return;
    const fade = setTimeout(() => setPhase('fading'), RECOVERED_SHOWN_MS);
    const end = setTimeout(() => setPhase('gone'), RECOVERED_SHOWN_MS + 600);
    return () => {
      clearTimeout(fade);
      clearTimeout(end);
    };
  }, [isRead]);
  if (phase === 'gone') return null;
  const events = plural(recovered.events, 'event');
  const words = recovered.events === 0 ? 'nothing was missed' : isRead ? `${events} caught up` : `reading ${events}…`;
  return (
    <Banner
      testId="recovered-banner"
      look="good"
      className={`motion-safe:transition-opacity motion-safe:duration-500 ${phase === 'fading' ? 'opacity-0' : ''}`}
    >
      Reconnected, {words}
    </Banner>
  );
};
