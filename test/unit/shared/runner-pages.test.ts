import { expect, test } from 'vitest';
import { RunnerList } from '../../../shared/http.ts';
import { everyRunner } from '../../../shared/runner-pages.ts';
import list from '../../fixtures/http/runner-list.json' with { type: 'json' };

test('every page is asked for, empty ones too, and a cursor is passed on as it is', async () => {
  const [runner] = RunnerList.parse(list).runners;
  if (runner === undefined) throw new Error('the fixture has no runner');
  const pages = new Map<string, RunnerList>([
    ['/api/runners', { runners: [runner], cursor: 'a/b=&c' }],
    ['/api/runners?cursor=a%2Fb%3D%26c', { runners: [], cursor: 'next' }],
    ['/api/runners?cursor=next', { runners: [{ ...runner, runnerId: 'last' }], cursor: null }],
  ]);
  const runners = await everyRunner(async (path) => pages.get(path) ?? expect.unreachable());
  expect(runners.map(({ runnerId }) => runnerId)).toEqual([runner.runnerId, 'last']);
});
