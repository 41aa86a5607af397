/** Search, copy, letter size, follow-tail and screen-reader text. */
import { Icon } from '../ui/icon.tsx';
import type { TerminalSettings } from './terminal-settings.ts';
import { ToolButton } from './tool-button.tsx';

interface TerminalToolsProps {
  readonly settings: TerminalSettings;
  readonly follow: boolean;
  readonly selected: boolean;
  readonly onFollow: (follow: boolean) => void;
  readonly onSearch: () => void;
  readonly onCopy: () => void;
}

export const TerminalTools = ({ settings, follow, selected, onFollow, onSearch, onCopy }: TerminalToolsProps) => (
  <div role="toolbar" aria-label="Terminal tools" className="flex items-center">
    <ToolButton
      onClick={onSearch}
      aria-label="Search in the terminal"
      title="Search (Ctrl+Shift+F)"
      data-testid="search"
    >
      <Icon name="search" />
    </ToolButton>
    <ToolButton
      onClick={onCopy}
      aria-label={selected ? 'Copy the selection' : 'Copy the whole terminal'}
      title={selected ? 'Copy the selection (Ctrl+Shift+C)' : 'Copy the whole terminal'}
      data-testid="copy"
    >
      <Icon name="copy" />
    </ToolButton>
    <ToolButton
      onClick={() => settings.setFontPx(settings.fontPx - 1)}
      aria-label="Smaller letters"
      title="Smaller letters"
      data-testid="font-smaller"
    >
      <span className="text-[11px]">A</span>
    </ToolButton>
    <ToolButton
      onClick={() => settings.setFontPx(settings.fontPx + 1)}
      aria-label="Larger letters"
      title="Larger letters"
      data-testid="font-larger"
    >
      <span className="text-[15px]">A</span>
    </ToolButton>
    <ToolButton
      aria-pressed={settings.screenReader}
      onClick={() => settings.setScreenReader(!settings.screenReader)}
      aria-label="Text for screen readers"
      title="Text for screen readers"
    >
      <Icon name="eye" />
    </ToolButton>
    <ToolButton
      aria-pressed={follow}
      onClick={() => onFollow(!follow)}
      title="Stay at the end as output comes"
      data-testid="follow"
    >
      <Icon name="down" /> <span className="max-sm:sr-only">Follow</span>
    </ToolButton>
  </div>
);
