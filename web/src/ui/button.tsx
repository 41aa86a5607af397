/** The page's one button, in the few ranks it needs. */
import type { ButtonHTMLAttributes } from 'react';

export type ButtonRank = 'primary' | 'plain' | 'quiet' | 'danger';
const RANKS: Readonly<Record<ButtonRank, string>> = {
  primary: 'bg-accent-ground text-white hover:brightness-110 shadow-sm',
  plain: 'border border-line-strong/60 bg-surface text-text hover:bg-raised',
  quiet: 'text-muted hover:bg-raised hover:text-text',
  danger: 'border border-danger/60 bg-surface text-danger hover:bg-danger-soft',
};

export const buttonClass = (rank: ButtonRank = 'plain', small = false): string =>
  `inline-flex items-center justify-center gap-1.5 whitespace-nowrap rounded-lg font-medium motion-safe:transition-colors disabled:opacity-50 ${
    small ? 'min-h-8 px-2.5 text-[13px]' : 'min-h-10 px-4 text-sm'
  } ${RANKS[rank]}`;

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly rank?: ButtonRank;
  readonly small?: boolean;
}

export const Button = ({ rank = 'plain', small = false, className = '', type = 'button', ...rest }: ButtonProps) => (
  <button type={type} className={`${buttonClass(rank, small)} ${className}`} {...rest} />
);
