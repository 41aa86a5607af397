/** What of the stored terminal could not be shown. */
import type { ReplayResult } from '../session/load-transcript.ts';
import { sizeWords } from '../ui/words.ts';
import { Banner } from './banner.tsx';

export const ReplayBanner = ({ replay }: { replay: 'loading' | ReplayResult | Error | null }) => {
  if (replay === null) return null;
  if (replay === 'loading') return <Banner testId="replay-banner">Loading what is stored…</Banner>;
  if (replay instanceof Error) {
    return (
      <Banner testId="replay-banner" look="warn">
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
    <Banner testId="replay-banner" look="warn">
      {notes.join(' ')}
    </Banner>
  );
};
