/** What a real terminal would answer never reaches it; everything else does, unchanged, however the frames are cut. */
import headless from '@xterm/headless';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CONTROL_HELD_MAX_CHARS } from '../../../../shared/limits.ts';
import { createQueryFilter } from '../../../../shared/viewer/query-filter.ts';

const ESC = '\u001b';
const ST = `${ESC}\\`;
const QUERIES = [
  `${ESC}[c`,
  `${ESC}[>0c`,
  `${ESC}[=c`,
  `${ESC}[6n`,
  `${ESC}[?6n`,
  `${ESC}[?25$p`,
  `${ESC}[4$p`,
  `${ESC}[14t`,
  `${ESC}[21t`,
  `${ESC}[1x`,
  `${ESC}[1$w`,
  `${ESC}[1;1;1;1;5;5*y`,
  `${ESC}[>0q`,
  `${ESC}[?u`,
  `${ESC}[?4m`,
  `${ESC}[?1;1;0S`,
  `${ESC}P$qm${ST}`,
  `${ESC}P+q544e${ST}`,
  `${ESC}]11;?\u0007`,
  `${ESC}]10;?${ST}`,
  `${ESC}]4;1;?\u0007`,
  `${ESC}]21;foreground=?${ST}`,
  `${ESC}]52;c;?\u0007`,
  `${ESC}]1337;ReportCellSize\u0007`,
  `${ESC}_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA${ST}`,
  `${ESC}Z`,
  '\u0005',
  '\u009b6n',
];
const HARMLESS = [
  'text',
  '█🚀',
  '\r\n',
  `${ESC}[31m`,
  `${ESC}[0m`,
  `${ESC}[?25h`,
  `${ESC}[!p`,
  `${ESC}[22;0t`,
  `${ESC}[u`,
  `${ESC}[2 q`,
  `${ESC}[>4;1m`,
  `${ESC}]2;is this a title?\u0007`,
  `${ESC}]11;#112233\u0007`,
  `${ESC}]52;c;aGk=${ST}`,
  `${ESC}]8;;https://x.example/?q=1${ST}`,
  `${ESC}Pq#0;2;0;0;0~~${ST}`,
  `${ESC}7`,
];
const stream = fc.array(
  fc.oneof(
    fc.constantFrom(...QUERIES).map((text) => ({ text, kept: '' })),
    fc.constantFrom(...HARMLESS).map((text) => ({ text, kept: text })),
  ),
  { maxLength: 30 },
);

describe('the query filter', () => {
  it.each(QUERIES)('takes %j out', (query) => {
    expect(createQueryFilter()(`a${query}b`)).toBe('ab');
  });
  it.each(HARMLESS)('leaves %j alone', (text) => {
    expect(createQueryFilter()(`a${text}b`)).toBe(`a${text}b`);
  });

  it('gives the same, however the stream is cut', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(400), { maxLength: 12 }), (parts, cuts) => {
        const text = parts.map((part) => part.text).join('');
        const filter = createQueryFilter();
        const at = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
        const kept = at.slice(1).map((end, index) => filter(text.slice(at[index], end)));
        expect(kept.join('')).toBe(parts.map((part) => part.kept).join(''));
      }),
      { numRuns: 500 },
    );
  });

  it('leaves a terminal nothing to answer', async () => {
    const answers: string[] = [];
    const terminal = new headless.Terminal({ allowProposedApi: true, windowOptions: { getWinSizeChars: true } });
    terminal.onData((data) => answers.push(data));
    await new Promise<void>((resolve) => terminal.write(createQueryFilter()(QUERIES.join('-')), resolve));
    expect(answers).toEqual([]);
    await new Promise<void>((resolve) => terminal.write(QUERIES.join('-'), resolve));
    expect(answers.length).toBeGreaterThan(5);
    terminal.dispose();
  });

  it('does not hold a sequence that never ends', () => {
    const filter = createQueryFilter();
    const endless = `${ESC}]2;${'x'.repeat(CONTROL_HELD_MAX_CHARS)}`;
    expect(filter(endless)).toBe(endless);
    expect(filter(`${ESC}[`)).toBe('');
    expect(filter('1m')).toBe(`${ESC}[1m`);
  });
});
