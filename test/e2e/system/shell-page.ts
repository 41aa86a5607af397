/** A shell session of the real village, and what a test reads and types on its page. */
import type { Page } from '@playwright/test';
import { EventPage, SessionStarted } from '../../../shared/http.ts';
import type { TestVillage } from '../../fakes/village.ts';
import { expect } from './fixtures.ts';

interface Hook {
  readonly term: {
    readonly cols: number;
    readonly rows: number;
    readonly buffer: {
      readonly active: {
        readonly viewportY: number;
        readonly baseY: number;
        getLine(row: number): { translateToString(trim: boolean): string } | undefined;
      };
    };
    getSelection(): string;
    scrollLines(lines: number): void;
    select(column: number, row: number, length: number): void;
  };
  text(): string;
}
type Hooked = Window & { __village?: Hook };

const READY_TIMEOUT_MS = 60_000;

export const textOf = (page: Page): Promise<string> => page.evaluate(() => (window as Hooked).__village?.text() ?? '');
/** The first line in view, and what is selected. */
export const placeOf = (page: Page): Promise<{ top: string; selection: string; atEnd: boolean }> =>
  page.evaluate(() => {
    const term = (window as Hooked).__village?.term;
    const active = term?.buffer.active;
    return {
      top: active?.getLine(active.viewportY)?.translateToString(true) ?? '',
      selection: term?.getSelection() ?? '',
      atEnd: active?.viewportY === active?.baseY,
    };
  });
/** Scrolls up by hand's wheel and marks a word of the third line in view. */
export const readAbove = async (page: Page, lines: number): Promise<void> => {
  await page.evaluate((up) => {
    const term = (window as Hooked).__village?.term;
    if (term === undefined) throw new Error('there is no terminal');
    term.scrollLines(-up);
    term.select(0, term.buffer.active.viewportY + 2, 4);
  }, lines);
};

/** Starts one over the API: a small plain bash. */
export const startShell = async (village: TestVillage, name: string): Promise<string> => {
  const { status, body } = await village.api('POST', '/api/sessions', {
    provider: 'shell',
    repository: { url: village.repository(name) },
    terminal: { cols: 100, rows: 30 },
  });
  if (status >= 300) throw new Error(`the session was not started: ${JSON.stringify(body)}`);
  return SessionStarted.parse(body).sessionId;
};

/** Opens the session and waits until bash can be typed at; a plain prompt makes screens predictable. */
export const openShell = async (page: Page, village: TestVillage, sessionId: string): Promise<void> => {
  await page.goto(`${village.endpoint().url}/sessions/${sessionId}`);
  await expect.poll(() => textOf(page), { timeout: READY_TIMEOUT_MS }).toMatch(/[#$]\s*$/);
};
export const takesKeys = (page: Page): Promise<void> =>
  expect(page.getByTestId('mode')).toHaveAttribute('data-mode', 'control');

export const eventTypes = async (village: TestVillage, sessionId: string): Promise<string[]> =>
  EventPage.parse((await village.api('GET', `/api/sessions/${sessionId}/events?limit=1000`)).body).events.map(
    ({ type }) => type,
  );
export const stop = async (village: TestVillage, sessionId: string): Promise<void> => {
  await village.api('POST', `/api/sessions/${sessionId}/stop`, {});
};
