/** An xterm with our addons, colours and manners. Loaded with the session page only. */
import { ClipboardAddon, type ClipboardSelectionType, type IClipboardProvider } from '@xterm/addon-clipboard';
import { FitAddon } from '@xterm/addon-fit';
import { SearchAddon } from '@xterm/addon-search';
import { SerializeAddon } from '@xterm/addon-serialize';
import { Unicode11Addon } from '@xterm/addon-unicode11';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { WebglAddon } from '@xterm/addon-webgl';
import { Terminal } from '@xterm/xterm';
import { toast } from 'sonner';
import { SCROLLBACK_LINES } from '../../../shared/limits.ts';
import { swallowQueries } from './swallow-queries.ts';
import { TERMINAL_THEME } from './terminal-theme.ts';
import '@xterm/xterm/css/xterm.css';

/** An ended session is read, not led: more of it may be scrolled back. */
const SCROLLBACK_ENDED_LINES = SCROLLBACK_LINES * 10;
const CLIPBOARD_ASK_MS = 15_000;

/** A program may offer text for the clipboard; only a person's click takes it, and nothing is ever read out. */
const askingClipboard: IClipboardProvider = {
  readText: () => '',
  writeText: (_selection: ClipboardSelectionType, text: string) => {
    if (text === '') return;
    toast(`The program offers ${text.length} characters to copy.`, {
      duration: CLIPBOARD_ASK_MS,
      action: { label: 'Copy', onClick: () => void navigator.clipboard.writeText(text) },
    });
  },
};

/** Opens only what a person clicks, without telling the other side where they came from. */
const openLink = (_event: MouseEvent, uri: string): void => {
  window.open(uri, '_blank', 'noopener,noreferrer');
};

export const createTerminal = (host: HTMLElement, options: { fontPx: number; ended: boolean }) => {
  const terminal = new Terminal({
    allowProposedApi: true,
    cursorBlink: false,
    cursorInactiveStyle: 'outline',
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue('--font-mono') || 'monospace',
    fontSize: options.fontPx,
    lineHeight: 1.15,
    minimumContrastRatio: 4.5,
    scrollback: options.ended ? SCROLLBACK_ENDED_LINES : SCROLLBACK_LINES,
    theme: TERMINAL_THEME,
    linkHandler: { activate: openLink },
  });
  Terminal.strings.promptLabel = 'Terminal input. Ctrl+Shift+X leaves it.';
  const fit = new FitAddon();
  const search = new SearchAddon();
  terminal.loadAddon(fit);
  terminal.loadAddon(search);
  const serialize = new SerializeAddon();
  terminal.loadAddon(serialize);
  terminal.loadAddon(new WebLinksAddon(openLink));
  terminal.loadAddon(new ClipboardAddon(undefined, askingClipboard));
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = '11';
  swallowQueries(terminal.parser);
  terminal.open(host);
  drawWithGpu(terminal);
  return { terminal, fit, search, serialize };
};

/** WebGL draws faster; without it, or when the browser takes it away, xterm draws with the DOM. */
const drawWithGpu = (terminal: Terminal): void => {
  try {
    const webgl = new WebglAddon();
    webgl.onContextLoss(() => webgl.dispose());
    terminal.loadAddon(webgl);
  } catch {
    // No WebGL here: the DOM renderer is already in place.
  }
};
