/** A real xterm answers queries into its input; with ours installed it stays silent and still shows everything. */
import headless from '@xterm/headless';
import { describe, expect, it } from 'vitest';
import { swallowQueries } from '../../../../web/src/terminal/swallow-queries.ts';
import { watcherFontPx } from '../../../../web/src/terminal/terminal-font.ts';

const ESC = '\u001b';
const QUERIES = [
  `${ESC}[c`,
  `${ESC}[0c`,
  `${ESC}[>c`,
  `${ESC}[5n`,
  `${ESC}[6n`,
  `${ESC}[?6n`,
  `${ESC}[?1$p`,
  `${ESC}[4$p`,
  `${ESC}P$qm${ESC}\\`,
  `${ESC}P$q"p${ESC}\\`,
  `${ESC}[18t`,
  `${ESC}]11;?\u0007`,
  `${ESC}]4;1;?\u0007`,
];

const answersTo = async (text: string, swallowing: boolean): Promise<{ answers: string[]; shown: string }> => {
  const terminal = new headless.Terminal({
    allowProposedApi: true,
    cols: 40,
    rows: 5,
    windowOptions: { getWinSizeChars: true },
  });
  const answers: string[] = [];
  terminal.onData((data) => answers.push(data));
  if (swallowing) swallowQueries(terminal.parser);
  await new Promise<void>((resolve) => terminal.write(text, resolve));
  const shown = terminal.buffer.active.getLine(0)?.translateToString(true) ?? '';
  terminal.dispose();
  return { answers, shown };
};

describe('swallowQueries', () => {
  it('silences what an xterm would answer', async () => {
    const text = `before${QUERIES.join('')}after`;
    expect((await answersTo(text, false)).answers.length).toBeGreaterThan(8);
    expect(await answersTo(text, true)).toEqual({ answers: [], shown: 'beforeafter' });
  });

  it('leaves what only draws alone', async () => {
    const { shown } = await answersTo(`a${ESC}[1mb${ESC}[0m${ESC}[6Gx${ESC}]11;#112233\u0007`, true);
    expect(shown).toBe('ab   x');
  });
});

describe('watcherFontPx', () => {
  const fit = { widthPx: 400, cols: 100, cellWidthPx: 8, fontPx: 13 };

  it('shrinks letters until a line fits, never above the person’s size, never below what can be read', () => {
    expect(watcherFontPx({ ...fit, widthPx: 2_000 }, 13)).toBe(13);
    expect(watcherFontPx({ ...fit, widthPx: 700 }, 13)).toBe(11);
    expect(watcherFontPx({ ...fit, widthPx: 100 }, 13)).toBe(7);
    expect(watcherFontPx({ ...fit, cellWidthPx: 0 }, 13)).toBe(13);
  });
});
