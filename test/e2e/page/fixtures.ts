/** Opens the built page against a stand-in village, and fails on any error the browser reports. */
import { test as base, expect } from '@playwright/test';
import { MockVillage } from '../mock/mock-village.ts';

interface Fixtures {
  readonly village: MockVillage;
  readonly origin: string;
  /** Console errors and page errors so far; a test that provokes some empties it. */
  readonly complaints: string[];
}

export const test = base.extend<Fixtures & { running: { village: MockVillage; origin: string } }>({
  running: async ({ browserName: _ }, use) => {
    const village = new MockVillage();
    const origin = await village.listen();
    try {
      await use({ village, origin });
    } finally {
      await village.close();
    }
  },
  village: async ({ running }, use) => use(running.village),
  origin: async ({ running }, use) => use(running.origin),
  baseURL: async ({ running }, use) => use(running.origin),
  complaints: [
    async ({ page }, use) => {
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text());
      });
      await use(complaints);
      expect(complaints).toEqual([]);
    },
    { auto: true },
  ],
});
export { expect };
