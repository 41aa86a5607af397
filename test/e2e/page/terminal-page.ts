/** What specs read from the page's terminal, through its documented test hook. */
import type { Page } from '@playwright/test';
import { mockId } from '../mock/mock-data.ts';

interface Hook {
  readonly term: { readonly cols: number; readonly rows: number; readonly options: { readonly fontSize?: number } };
  text(): string;
  address(): { epoch: number; offset: number } | undefined;
}
type Hooked = Window & { __village?: Hook; __villageRecord?: { kind: string; data?: string }[] };

export const terminalText = (page: Page): Promise<string> =>
  page.evaluate(() => (window as Hooked).__village?.text() ?? '');
export const terminalSize = (page: Page) =>
  page.evaluate(() => {
    const term = (window as Hooked).__village?.term;
    return { cols: term?.cols ?? 0, rows: term?.rows ?? 0, fontPx: term?.options.fontSize ?? 0 };
  });
/** Everything the terminal was told to write since the page loaded; `record` must have run before. */
export const recorded = (page: Page): Promise<string> =>
  page.evaluate(() =>
    ((window as Hooked).__villageRecord ?? [])
      .flatMap((action) => (action.kind === 'write' ? [action.data ?? ''] : []))
      .join(''),
  );
export const record = async (page: Page): Promise<void> => {
  await page.addInitScript(() => {
    (window as Hooked).__villageRecord = [];
  });
};

/** Frames of one stream for session `number`, 80×24 unless told. */
export const framesOf = (number: number, texts: readonly string[], size = { cols: 80, rows: 24 }) => {
  let offset = 0;
  return texts.map((data, seq) => {
    const frame = {
      type: 'terminal_output',
      sessionId: mockId('ses', number),
      epoch: 1,
      agentId: mockId('agt', number),
      stream: 'stdout',
      offset,
      sizeRev: 1,
      ...size,
      seq,
      ts: 0,
      data,
    };
    offset += Buffer.byteLength(data);
    return frame;
  });
};
