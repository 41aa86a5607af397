/** A labelled field whose help and error are tied to it for screen readers. */
import type { ReactNode } from 'react';
import { sentence } from '../ui/words.ts';

export interface FieldProps {
  readonly id: string;
  readonly label: string;
  readonly hint?: ReactNode;
  readonly error?: string | undefined;
  readonly optional?: boolean;
  readonly children: (props: { id: string; 'aria-invalid': boolean; 'aria-describedby': string }) => ReactNode;
}

export const Field = ({ id, label, hint, error, optional = false, children }: FieldProps) => (
  <div>
    <label htmlFor={id} className="flex items-baseline justify-between gap-2 text-sm font-medium">
      {label}
      {optional ? <span className="text-[13px] font-normal text-muted">optional</span> : null}
    </label>
    <div className="mt-1.5">
      {children({ id, 'aria-invalid': error !== undefined, 'aria-describedby': `${id}-about` })}
    </div>
    <div id={`${id}-about`} className="mt-1 text-[13px]">
      {error === undefined ? null : (
        <p className="font-medium text-danger" data-testid={`error-${id}`}>
          {sentence(error)}
        </p>
      )}
      {hint === undefined ? null : <p className="text-muted">{hint}</p>}
    </div>
  </div>
);
