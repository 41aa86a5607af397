/** A real village for a whole spec file, its Claude Code started through the tests' recorder, and a page that is signed in by the printed link. */
import { join } from 'node:path';
import { type Browser, type BrowserContext, test as base, expect, type Page } from '@playwright/test';
import { type LineProxy, lineProxy } from '../../fakes/line-proxy.ts';
import { type PtyRecorder, ptyRecorder } from '../../fakes/pty-recorder.ts';
import { CLAUDE_VERSION, realClaude, type TestVillage, testVillage } from '../../fakes/village.ts';

/** A version that npm does not have: its program is the recorder, which runs the real CLI. */
const RECORDED_VERSION = `${CLAUDE_VERSION}-recorded`;

export interface SystemVillage {
  readonly village: TestVillage;
  /** The printed sign-in link, which works once. */
  readonly signInUrl: string;
  /** The recorder of Claude Code; undefined where the CLI is not installed. */
  readonly claude: PtyRecorder | undefined;
}

const recordClaude = async (village: TestVillage): Promise<PtyRecorder | undefined> => {
  const real = realClaude();
  if (real === undefined) return undefined;
  const file = village.addFakeClaude(RECORDED_VERSION, '');
  const recorder = ptyRecorder(file, [real], join(village.root, 'recordings-claude'));
  const added = await village.command('builds', 'add', `claude_code@${RECORDED_VERSION}`);
  if (added.code !== 0) throw new Error(`the build was not added: ${added.stderr}`);
  return recorder;
};

interface Fixtures {
  /** Signed in; any error the browser reports fails the test. */
  readonly person: Page;
  /** A line of its own for each test, and pages behind it: what browsers say of a cut fails nothing. */
  readonly line: LineProxy;
  readonly behindLine: (device?: Parameters<Browser['newContext']>[0]) => Promise<Page>;
}
interface WorkerFixtures {
  /** Options of `npm start`. */
  readonly startOptions: readonly string[];
  readonly system: SystemVillage;
  readonly signedIn: Awaited<ReturnType<Page['context']>>;
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  startOptions: [[], { scope: 'worker', option: true }],
  system: [
    async ({ startOptions }, use) => {
      const village = testVillage();
      try {
        const life = await village.start({ args: startOptions });
        const signInUrl = /http:\/\/\S+\/signin#\S+/.exec(life.output())?.[0];
        if (signInUrl === undefined) throw new Error(`no sign-in link was printed: ${life.output()}`);
        await use({ village, signInUrl, claude: await recordClaude(village) });
      } finally {
        await village.close();
      }
    },
    { scope: 'worker', timeout: 120_000 },
  ],
  signedIn: [
    async ({ browser, system }, use) => {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB' });
      const page = await context.newPage();
      await page.goto(system.signInUrl);
      await expect(page.getByTestId('empty')).toBeVisible();
      await page.close();
      await use(context);
      await context.close();
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  person: async ({ signedIn }, use) => {
    const page = await signedIn.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await use(page);
    await page.close();
    expect(complaints).toEqual([]);
  },
  line: async ({ browserName: _ }, use) => {
    const line = await lineProxy();
    await use(line);
    await line.close();
  },
  behindLine: async ({ browser, line, signedIn }, use) => {
    const storageState = await signedIn.storageState();
    const opened: BrowserContext[] = [];
    await use(async (device = { viewport: { width: 1280, height: 800 } }) => {
      const proxy = { server: line.url, bypass: '<-loopback>' };
      const context = await browser.newContext({ locale: 'en-GB', ...device, storageState, proxy });
      opened.push(context);
      return context.newPage();
    });
    for (const context of opened) await context.close();
  },
});
export { expect };
