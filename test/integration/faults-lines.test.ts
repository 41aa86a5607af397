/** Lines that break: again and again in one session, the runner's and the viewer's (a hundred times with VILLAGE_LONG=1), and a network that is gone for a while. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createScreenText } from '../../cli/viewer/screen-text.ts';
import { type LineProxy, lineProxy } from '../fakes/line-proxy.ts';
import { listeningPorts, networkNamespace } from '../fakes/network-namespace.ts';
import { type OwnRunner, type OwnRunnerSetup, ownRunner } from '../fakes/own-runner-process.ts';
import { canRecord } from '../fakes/pty-recorder.ts';
import { type TestVillage, testVillage, until } from '../fakes/village.ts';
import { storedTerminal } from '../fakes/village-check.ts';
import {
  expectRecorded,
  expectSound,
  expectSoundEnd,
  PATIENCE_MS,
  recordedShell,
  startShell,
  viewOf,
} from './faults-support.ts';

const SCREEN_ROWS = 32;
const CUTS = process.env.VILLAGE_LONG ? 100 : 12;
const TIMEOUT_MS = process.env.VILLAGE_LONG ? 20 * 60_000 : 300_000;
let village: TestVillage;
let cleanUps: (() => Promise<unknown> | unknown)[];
beforeEach(() => {
  village = testVillage();
  cleanUps = [];
});
afterEach(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
  await village.close();
});

/** What a person reads who is shown these bytes. */
const drawn = async (data: string): Promise<string[]> => {
  const screen = createScreenText({ cols: 120, rows: SCREEN_ROWS });
  screen.apply([{ kind: 'write', data }]);
  await screen.flush();
  const lines = screen.lines();
  screen.dispose();
  return lines;
};
const proxied = async (): Promise<LineProxy & { readonly address: string }> => {
  const line = await lineProxy({ to: { host: '127.0.0.1', port: Number(new URL(village.endpoint().url).port) } });
  cleanUps.push(() => line.close());
  return { ...line, address: `http://127.0.0.1:${line.port}` };
};
const runner = async (setup: OwnRunnerSetup): Promise<OwnRunner> => {
  const started = await ownRunner(village, setup);
  cleanUps.push(() => {
    started.kill();
    return started.exited;
  });
  return started;
};
/** In a network of its own where that is permitted, else behind a proxy that swallows everything. */
const partition = async () => {
  const { pid } = village.processes().find(({ command }) => command.includes('local/start.mjs')) ?? { pid: 0 };
  const space = await networkNamespace(listeningPorts(pid));
  if (typeof space !== 'string') {
    cleanUps.push(() => space.close());
    const started = await runner({ name: 'apart', wrap: space.wrap });
    return { started, lose: () => space.unplug(), heal: () => space.plug(), how: 'network namespace, card unplugged' };
  }
  const line = await proxied();
  const started = await runner({ name: 'apart', url: line.address });
  const lose = () => line.fault({ stalls: true });
  return { started, lose, heal: () => line.fault({}), how: `proxy that swallows everything (${space})` };
};

describe.skipIf(!canRecord())('a line that breaks', () => {
  it(
    `${CUTS} times each, the runner's and the viewer's: every byte, key and event is there once`,
    async () => {
      await village.start();
      const [runnerLine, viewerLine] = [await proxied(), await proxied()];
      const { group, workspace } = await runner({ name: 'cut', url: runnerLine.address });
      const sessionId = await startShell(village, { pool: group });
      const shell = await recordedShell(village, sessionId, { ...village.endpoint(), url: viewerLine.address });
      cleanUps.push(() => shell.viewer.close());
      await shell.says('before');
      const [runnerCuts, viewerCuts] = [() => runnerLine.cut() > 0, () => viewerLine.cut() > 0];
      const back = (): true | undefined => {
        shell.viewer.wake();
        return viewerLine.count() > 0 ? true : undefined;
      };
      let [ofRunner, ofViewer] = [0, 0];
      for (let round = 1; ofRunner < CUTS || ofViewer < CUTS; round += 1) {
        // Output and keys are under way whenever a line breaks; both, or one of them.
        shell.run(`seq -f "round-${round} %.0f é漢" 300; echo ${round} >> typed`);
        if (round % 3 !== 1) await until('a cut of the runner', () => runnerCuts() || undefined, PATIENCE_MS);
        if (round % 3 !== 2) await until('a cut of the viewer', () => viewerCuts() || undefined, PATIENCE_MS);
        ofRunner += round % 3 === 1 ? 0 : 1;
        ofViewer += round % 3 === 2 ? 0 : 1;
        await until('the cut to be noticed', back, PATIENCE_MS);
        if (round % 5 === 0) await shell.says(`round-${round}-done`);
      }
      await shell.says('all-cuts-done');
      await until('the end of the stream', () => (shell.viewer.isCaughtUp() ? true : undefined), PATIENCE_MS);
      expect(await viewOf(village, sessionId)).toMatchObject({ state: 'running', epoch: 1 });
      await expectSound(village, { viewers: [shell.viewer] });
      const seen = await shell.viewer.lines();
      shell.viewer.close();
      await expectSoundEnd(village, [sessionId], { viewers: [shell.viewer], roots: [workspace] });
      await expectRecorded(village, shell);
      // The last screen as it was seen over all cuts, against what is stored up to there.
      const { text } = await storedTerminal(village.endpoint(), sessionId);
      const upTo = Buffer.from(text.get(1) ?? '').subarray(0, shell.viewer.address()?.offset);
      expect(seen.slice(-SCREEN_ROWS)).toEqual((await drawn(upTo.toString())).slice(-SCREEN_ROWS));
    },
    TIMEOUT_MS,
  );

  it('by a network that is gone, for the runner alone: it goes on in its epoch, nothing is lost', async () => {
    await village.start();
    const { started, lose, heal, how } = await partition();
    console.log(`partition by: ${how}`);
    const sessionId = await startShell(village, { pool: started.group });
    const shell = await recordedShell(village, sessionId);
    cleanUps.push(() => shell.viewer.close());
    await shell.says('before');
    // What is printed while nobody can be told waits on the runner's disk.
    shell.run('sleep 2; seq -f "alone %.0f é漢" 5000; echo alone >> typed');
    await until('the command', () => (shell.viewer.tail().includes('sleep 2; seq') ? true : undefined), PATIENCE_MS);
    lose();
    shell.run('echo typed-without-a-network >> typed');
    await until('5 s without a network', () => village.api('GET', '/api/sessions').then(() => undefined), 5_000).catch(
      () => {},
    );
    heal();
    await shell.says('after');
    expect(await viewOf(village, sessionId)).toMatchObject({ state: 'running', epoch: 1 });
    await expectSoundEnd(village, [sessionId], { viewers: [shell.viewer], roots: [started.workspace] });
    await expectRecorded(village, shell);
  }, 240_000);
});

it('that loses one message in six and repeats others: what was sent over HTTP is typed, once and in its order', async () => {
  await village.start({ args: ['--chaos', 'seed=3,drop=0.15,duplicate=0.1'] });
  const sessionId = await startShell(village);
  const typed = join(village.dataDir, 'runner', 'workspaces', sessionId, 'typed.txt');
  const lines = Array.from({ length: 12 }, (_, index) => `line-${index}`);
  for (const line of lines) {
    const input = { data: `echo ${line} >> typed.txt`, submit: true };
    expect((await village.api('POST', `/api/sessions/${sessionId}/input`, input)).status).toBe(202);
  }
  const read = () => (existsSync(typed) ? readFileSync(typed, 'utf8').trim().split('\n') : []);
  await until('the last line', () => (read().includes('line-11') ? true : undefined));
  expect(read()).toEqual(lines);
}, 240_000);
