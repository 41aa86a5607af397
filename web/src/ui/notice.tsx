/** A box that says what is the matter and what to do. */
import type { ReactNode } from 'react';

const LOOKS = {
  danger: 'border-danger/40 bg-danger-soft',
  warn: 'border-warn/40 bg-warn-soft',
  info: 'border-info/40 bg-info-soft',
} as const;

interface NoticeProps {
  readonly look: keyof typeof LOOKS;
  readonly title: string;
  readonly children?: ReactNode;
  readonly testId?: string;
}

export const Notice = ({ look, title, children, testId }: NoticeProps) => (
  <div
    role={look === 'danger' ? 'alert' : 'status'}
    data-testid={testId}
    className={`rounded-xl border px-4 py-3 text-sm ${LOOKS[look]}`}
  >
    <p className="font-semibold">{title}</p>
    {children === undefined ? null : <div className="mt-1 text-text/85">{children}</div>}
  </div>
);
