/** Everybody who looks at this session now, by name and device. */
import { useEffect, useRef, useState } from 'react';
import type { Presence } from '../../../shared/session.ts';
import { Icon } from '../ui/icon.tsx';
import { plural } from '../ui/words.ts';
import { ToolButton } from './tool-button.tsx';
import { inOrder } from './viewer-words.ts';

interface PresenceListProps {
  readonly presence: readonly Presence[];
  readonly controllerId: string | null;
  readonly ownId: string;
}

export const PresenceList = ({ presence, controllerId, ownId }: PresenceListProps) => {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const close = (event: Event) => {
      const isOutside = event instanceof PointerEvent && !box.current?.contains(event.target as Node);
      if (isOutside || (event instanceof KeyboardEvent && event.key === 'Escape')) setOpen(false);
    };
    addEventListener('pointerdown', close);
    addEventListener('keydown', close);
    return () => {
      removeEventListener('pointerdown', close);
      removeEventListener('keydown', close);
    };
  }, [open]);
  if (presence.length < 2) return null;
  const own = presence.find(({ viewerId }) => viewerId === ownId);
  return (
    <div ref={box} className="relative">
      <ToolButton
        data-testid="presence"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="rounded-full! bg-white/10"
        title="Who is here"
      >
        <Icon name="eye" className="size-3.5" />
        {presence.length} <span className="max-sm:sr-only">here</span>
      </ToolButton>
      {open ? (
        <ul
          aria-label={`${plural(presence.length, 'viewer')} of this session`}
          data-testid="presence-list"
          className="absolute top-full left-0 z-20 mt-1 w-max max-w-[min(22rem,calc(100vw-2rem))] rounded-lg border border-white/15 bg-[#1d2226] py-1.5 text-[13px] shadow-xl"
        >
          {inOrder(presence, controllerId, ownId).map((viewer) => (
            <li key={viewer.viewerId} className="flex items-center gap-2.5 px-3 py-1.5">
              <Icon
                name={viewer.viewerId === controllerId ? 'keyboard' : 'eye'}
                className={`size-4 ${viewer.viewerId === controllerId ? 'text-[#63c9ab]' : 'text-[#9aa3aa]'}`}
              />
              <span className="min-w-0">
                <span className="font-medium text-white">
                  {viewer.userId === own?.userId ? 'You' : viewer.userId}
                  {viewer.viewerId === ownId ? (
                    <span className="font-normal text-[#9aa3aa]"> · this window</span>
                  ) : null}
                </span>
                <span className="block truncate text-[#9aa3aa]">
                  {viewer.viewerId === controllerId ? 'has the keyboard' : 'watches'}
                  {viewer.device === '' ? '' : `, ${viewer.device}`}
                </span>
              </span>
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
};
