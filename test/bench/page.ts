/** Page load in a real browser: sign-in link to the list of sessions, against an empty page from the same origin. */
import { chromium } from '@playwright/test';
import { startVillage, summarise } from './harness.ts';

const CHROMIUM = {
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-background-networking'],
};

export const page = async (n: number) => {
  const village = await startVillage();
  const browser = await chromium.launch(CHROMIUM);
  try {
    const list: number[] = [];
    const empty: number[] = [];
    for (let index = 0; index < n; index += 1) {
      const link = (await village.post('/api/signin-links', {})) as { url: string };
      const context = await browser.newContext();
      const tab = await context.newPage();
      const emptyMs = performance.now();
      await tab.goto(`${village.url}/api/health`);
      empty.push(performance.now() - emptyMs);
      const startedMs = performance.now();
      await tab.goto(link.url);
      // A fresh village has no session: the list says so.
      await tab.getByTestId('empty').waitFor();
      list.push(performance.now() - startedMs);
      await context.close();
    }
    return {
      unit: 'ms',
      signInToList: summarise(list),
      baseline: { what: 'a JSON answer of the same origin in the same browser', ...summarise(empty) },
    };
  } finally {
    await browser.close();
    await village.close();
  }
};
