/** The list of runners comes in pages, in which those that are gone stand between those that serve: whoever shows it reads all of them. */
import type { RunnerInfo, RunnerList } from './http.ts';

/** @param get asks the path of one page */
export const everyRunner = async (get: (path: string) => Promise<RunnerList>): Promise<RunnerInfo[]> => {
  const runners: RunnerInfo[] = [];
  let query = '';
  for (;;) {
    const page = await get(`/api/runners${query}`);
    runners.push(...page.runners);
    if (page.cursor === null) return runners;
    query = `?cursor=${encodeURIComponent(page.cursor)}`;
  }
};
