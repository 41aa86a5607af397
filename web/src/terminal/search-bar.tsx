/** Search in what the terminal holds, scrollback included. */
import { useEffect, useRef, useState } from 'react';
import { Icon } from '../ui/icon.tsx';
import { ToolButton } from './tool-button.tsx';

interface SearchBarProps {
  readonly onFind: (text: string, direction: 'next' | 'previous') => boolean;
  readonly onClose: () => void;
}

export const SearchBar = ({ onFind, onClose }: SearchBarProps) => {
  const [text, setText] = useState('');
  const [found, setFound] = useState(true);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const find = (direction: 'next' | 'previous', wanted = text) => setFound(onFind(wanted, direction));
  return (
    <search className="flex items-center gap-1 border-b border-white/10 px-2 py-1.5 sm:px-3">
      <input
        ref={field}
        type="text"
        value={text}
        aria-label="Search in the terminal"
        placeholder="Search"
        data-testid="search-field"
        onChange={(event) => {
          setText(event.target.value);
          find('previous', event.target.value);
        }}
        onKeyDown={(event) => {
          if (event.key === 'Enter') find(event.shiftKey ? 'next' : 'previous');
          else if (event.key === 'Escape') onClose();
          else return;
          event.preventDefault();
        }}
        className="min-h-8 min-w-0 flex-1 rounded-md border border-white/20 bg-white/5 px-2.5 text-sm text-white sm:max-w-xs"
      />
      <span role="status" className="px-1 text-[13px] text-[#f07a70]">
        {found || text === '' ? '' : 'Not found'}
      </span>
      <ToolButton onClick={() => find('previous')} aria-label="Earlier match" title="Earlier match (Enter)">
        <Icon name="up" />
      </ToolButton>
      <ToolButton onClick={() => find('next')} aria-label="Later match" title="Later match (Shift+Enter)">
        <Icon name="down" />
      </ToolButton>
      <ToolButton onClick={onClose} aria-label="Close the search" title="Close (Esc)">
        <Icon name="close" />
      </ToolButton>
    </search>
  );
};
