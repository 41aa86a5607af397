import { beforeEach, describe, expect, test } from 'vitest';
import { runnerLine } from '../../../../functions/streams/runner-line.ts';
import type { ControlToRunnerFrame } from '../../../../shared/frames.ts';
import { FakeSender, TestClock } from '../../../fakes/control-plane-ports.ts';
import { MemoryDatabase } from '../../../fakes/memory-database.ts';

const ref = { tenantId: 'acme', sessionId: 'ses_00000000000000000000000001' };
const ping: ControlToRunnerFrame = { type: 'ping', ts: 1 };

describe('the way to a runner', () => {
  let db: MemoryDatabase;
  let clock: TestClock;
  let sender: FakeSender<ControlToRunnerFrame>;
  const line = () => runnerLine({ db, sender, clock });
  const to = () => sender.posted.map(({ connectionId }) => connectionId);
  beforeEach(() => {
    db = new MemoryDatabase();
    clock = new TestClock();
    sender = new FakeSender();
  });

  test('is set by a higher dial only', async () => {
    const runners = line();
    expect(await runners.set(ref, { connectionId: 'b', epoch: 1, dial: 2 })).toBe(true);
    expect(await runners.set(ref, { connectionId: 'a', epoch: 1, dial: 1 })).toBe(false);
    expect(await runners.set(ref, { connectionId: 'c', epoch: 1, dial: 2 })).toBe(false);
    expect(await runners.set(ref, { connectionId: 'b', epoch: 1, dial: 2 })).toBe(true);
    expect(await runners.post(ref, ping)).toBe(true);
    expect(to()).toEqual(['b']);
  });

  test('a higher epoch wins over any dial of a lower one', async () => {
    const runners = line();
    await runners.set(ref, { connectionId: 'old', epoch: 1, dial: 5_000_000 });
    expect(await runners.set(ref, { connectionId: 'new', epoch: 2, dial: 1 })).toBe(true);
    expect(await runners.set(ref, { connectionId: 'old', epoch: 1, dial: 6_000_000 })).toBe(false);
  });

  test('is cleared by its own connection only', async () => {
    const runners = line();
    await runners.set(ref, { connectionId: 'a', epoch: 1, dial: 1 });
    await runners.clear(ref, 'another');
    expect(await runners.post(ref, ping)).toBe(true);
    await runners.clear(ref, 'a');
    expect(await runners.post(ref, ping)).toBe(false);
  });

  test('a remembered connection that is gone is looked up again, within one post', async () => {
    const here = line();
    const elsewhere = line();
    await here.set(ref, { connectionId: 'a', epoch: 1, dial: 1 });
    await here.post(ref, ping);
    await elsewhere.set(ref, { connectionId: 'b', epoch: 1, dial: 2 });
    sender.answers.set('a', 'gone');
    expect(await here.post(ref, ping)).toBe(true);
    expect(to()).toEqual(['a', 'b']);
  });

  test('what is remembered is believed for two seconds only', async () => {
    const here = line();
    const elsewhere = line();
    await here.set(ref, { connectionId: 'a', epoch: 1, dial: 1 });
    await here.post(ref, ping);
    await elsewhere.set(ref, { connectionId: 'b', epoch: 1, dial: 2 });
    await here.post(ref, ping);
    clock.advance(2_001);
    await here.post(ref, ping);
    expect(to()).toEqual(['a', 'a', 'b']);
  });

  test.each(['gone', 'slow', 'too_large'] as const)('a connection that answers %s took nothing', async (answer) => {
    const runners = line();
    await runners.set(ref, { connectionId: 'a', epoch: 1, dial: 1 });
    sender.answers.set('a', answer);
    expect(await runners.post(ref, ping)).toBe(false);
    sender.answers.delete('a');
    expect(await runners.post(ref, ping)).toBe(true);
  });

  test('there is none for another session or tenant', async () => {
    const runners = line();
    await runners.set(ref, { connectionId: 'a', epoch: 1, dial: 1 });
    expect(await runners.post({ ...ref, tenantId: 'other' }, ping)).toBe(false);
    expect(await runners.post({ ...ref, sessionId: 'ses_00000000000000000000000002' }, ping)).toBe(false);
  });
});
