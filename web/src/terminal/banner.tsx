/** A message over the terminal: it covers a line or two for a while, but never moves what a person reads or resizes the terminal. */
import type { ReactNode } from 'react';

export type BannerLook = 'plain' | 'good' | 'warn';
const LOOKS: Readonly<Record<BannerLook, string>> = {
  plain: 'border-white/15 bg-[#1d2226] text-[#c6cdd2]',
  good: 'border-[#63c9ab]/40 bg-[#14261f] text-[#9fe3cd]',
  warn: 'border-[#e8b65a]/40 bg-[#2d2210] text-[#f0cf8e]',
};

interface BannerProps {
  readonly children: ReactNode;
  readonly testId: string;
  readonly look?: BannerLook;
  readonly role?: 'status' | 'alert';
  readonly className?: string;
}

export const Banner = ({ children, testId, look = 'plain', role = 'status', className = '' }: BannerProps) => (
  <div
    role={role}
    data-testid={testId}
    className={`pointer-events-auto flex max-w-full flex-wrap items-center gap-x-3 gap-y-1.5 rounded-lg border px-3 py-1.5 text-[13px] shadow-lg ${LOOKS[look]} ${className}`}
  >
    {children}
  </div>
);

/** Where banners stand, newest worry first. */
export const BannerStack = ({ children }: { children: ReactNode }) => (
  <div className="pointer-events-none absolute inset-x-2 top-2 z-10 flex flex-col items-center gap-1.5">{children}</div>
);
