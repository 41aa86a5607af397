/** Notices about the session over its terminal; those that do not stay can be put away. */
import { useState } from 'react';
import { Banner } from '../terminal/banner.tsx';
import { ToolButton } from '../terminal/tool-button.tsx';
import { Icon } from '../ui/icon.tsx';
import type { SessionNotice } from './session-notices.ts';

interface NoticeBannersProps {
  readonly notices: readonly SessionNotice[];
  readonly onResume: () => void;
}

export const NoticeBanners = ({ notices, onResume }: NoticeBannersProps) => {
  const [away, setAway] = useState<ReadonlySet<string>>(new Set());
  return notices
    .filter(({ id }) => !away.has(id))
    .map(({ id, look, text, resumes, stays }) => (
      <Banner key={id} testId={`notice-${id.replace(/-\d+$/, '')}`} look={look}>
        <span>{text}</span>
        {resumes === true ? (
          <ToolButton onClick={onResume} data-testid="notice-resume" className="bg-[#227860] text-white">
            <Icon name="play" /> Resume
          </ToolButton>
        ) : null}
        {stays === true ? null : (
          <ToolButton onClick={() => setAway(new Set([...away, id]))} aria-label="Put this note away">
            <Icon name="close" />
          </ToolButton>
        )}
      </Banner>
    ));
};
