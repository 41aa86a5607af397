/** Tells when what is shown may not be the newest, and what is done about it. */
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { StreamView } from '../../../shared/viewer/stream-view.ts';
import type { ReplayResult } from '../session/load-transcript.ts';
import { useNow } from '../ui/use-now.ts';
import { sizeWords } from '../ui/words.ts';
import { ToolButton } from './tool-button.tsx';

const Banner = ({ children, testId, bad = false }: { children: ReactNode; testId: string; bad?: boolean }) => (
  <div
    role="status"
    data-testid={testId}
    className={`flex flex-wrap items-center gap-x-3 gap-y-1 border-b border-white/10 px-3 py-1.5 text-[13px] ${bad ? 'bg-[#3a2a10] text-[#f0cf8e]' : 'bg-white/5 text-[#b6bdc3]'}`}
  >
    {children}
  </div>
);

export const ConnectionBanner = ({ view, onRetry }: { view: StreamView | null; onRetry: () => void }) => {
  const nowMs = useNow(500);
  if (view === null) return null;
  const { socket } = view;
  if (socket.kind === 'signed_out') {
    return (
      <Banner testId="reconnect-banner" bad>
        You are signed out, so the terminal stands still.{' '}
        <Link to="/" className="underline">
          Sign in again
        </Link>
      </Banner>
    );
  }
  if (socket.kind === 'waiting') {
    const seconds = Math.max(0, Math.ceil((socket.retryAtMs - nowMs) / 1_000));
    return (
      <Banner testId="reconnect-banner" bad>
        <span>
          Connection lost ({socket.why}). {seconds === 0 ? 'Trying again…' : `Next try in ${seconds} s.`} Nothing is
          lost: the terminal catches up.
        </span>
        <ToolButton onClick={onRetry} className="bg-white/10">
          Try now
        </ToolButton>
      </Banner>
    );
  }
  if (socket.kind === 'connecting' && socket.attempt > 0)
    return (
      <Banner testId="reconnect-banner" bad>
        Reconnecting…
      </Banner>
    );
  if (view.problem !== null)
    return (
      <Banner testId="stream-problem" bad>
        {view.problem}
      </Banner>
    );
  return null;
};

export const ReplayBanner = ({ replay }: { replay: 'loading' | ReplayResult | Error | null }) => {
  if (replay === null) return null;
  if (replay === 'loading') return <Banner testId="replay-banner">Loading what is stored…</Banner>;
  if (replay instanceof Error) {
    return (
      <Banner testId="replay-banner" bad>
        The stored terminal cannot be read: {replay.message}
      </Banner>
    );
  }
  const missingBytes =
    replay.at === null || replay.at.epoch < replay.head.epoch
      ? replay.head.offset
      : replay.head.offset - replay.at.offset;
  const notes = [
    ...(replay.unreadable > 0 ? [`${replay.unreadable} stored parts cannot be read.`] : []),
    ...(missingBytes > 0 ? [`The last ${sizeWords(missingBytes)} are not stored.`] : []),
    ...(replay.skipped ? ['The beginning is left out; the whole: npx village sessions logs.'] : []),
  ];
  if (notes.length === 0) return null;
  return (
    <Banner testId="replay-banner" bad>
      {notes.join(' ')}
    </Banner>
  );
};
