/** What main.ts does with errors that nobody caught, with two sessions that make them; prints whose each was. */
import { SessionGuard } from '../../../../runner-image/src/runner/session-guard.ts';

const guard = new SessionGuard();
const seen: string[] = [];
const caught = (error: unknown): void => {
  seen.push(`${error instanceof Error ? error.message : error}: ${guard.owner?.sessionId ?? 'nobody'}`);
};
process.on('uncaughtException', caught);
process.on('unhandledRejection', caught);

const fail = (what: string) => () => {
  throw new Error(what);
};
guard.run({ sessionId: 'a', epoch: 1 }, () => {
  setTimeout(fail('timer of a'), 1);
  setImmediate(() => setTimeout(fail('timer in an immediate of a'), 1));
  void (async () => {
    await null;
    fail('promise of a')();
  })();
});
guard.run({ sessionId: 'b', epoch: 1 }, () => {
  void fetch('http://127.0.0.1:1/').then(undefined, fail('answer to b'));
  process.nextTick(fail('tick of b'));
});
setTimeout(fail('ours'), 5);
setTimeout(() => process.stdout.write(JSON.stringify(seen.sort())), 500);
