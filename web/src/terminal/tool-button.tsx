/** A button on the terminal's dark ground, in both colour schemes. */
import type { ButtonHTMLAttributes } from 'react';

export const ToolButton = ({ className = '', ...rest }: ButtonHTMLAttributes<HTMLButtonElement>) => (
  <button
    type="button"
    className={`inline-flex min-h-8 min-w-8 items-center justify-center gap-1.5 rounded-md px-2 text-[13px] whitespace-nowrap text-[#b6bdc3] hover:bg-white/10 hover:text-white focus-visible:outline-[#63c9ab] disabled:opacity-40 aria-pressed:bg-white/10 aria-pressed:text-white ${className}`}
    {...rest}
  />
);
