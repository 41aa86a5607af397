/** One key to a hundred viewers: until the last of them has it, against a hundred bare SDK posts in parallel through the same gateway. */
import { WebSocket } from 'ws';
import {
  attachRaw,
  child,
  firstLine,
  type RawViewer,
  ROOT,
  type Summary,
  startShell,
  startVillage,
  summarise,
  untilState,
} from './harness.ts';

const VIEWERS = 100;
const WARM_UP = 30;
const KEYS = 'abcdefghijklmnopqrstuvwxyz';

/** Milliseconds until every one of `all` was reported, from just before `send`. */
const untilAll = async (all: number, send: () => void, listen: (onOne: () => void) => void): Promise<number> => {
  const done = Promise.withResolvers<void>();
  let left = all;
  listen(() => {
    left -= 1;
    if (left === 0) done.resolve();
  });
  const startedMs = performance.now();
  send();
  await done.promise;
  return performance.now() - startedMs;
};

const summary = async (n: number, round: (index: number) => Promise<number>): Promise<Summary> => {
  const values: number[] = [];
  for (let index = 0; index < n + WARM_UP; index += 1) {
    const tookMs = await round(index);
    if (index >= WARM_UP) values.push(tookMs);
  }
  return summarise(values);
};

/** Each viewer counts once a round, with the first frame that brings what is waited for. */
const hear = (viewers: readonly RawViewer[], wanted: string, onOne: () => void): void => {
  for (const viewer of viewers) {
    let heard = false;
    viewer.onText = (text) => {
      if (heard || !text.includes('"terminal_output"') || !text.includes(wanted)) return;
      heard = true;
      onOne();
    };
  }
};

const throughVillage = async (n: number): Promise<Summary> => {
  const village = await startVillage();
  try {
    const sessionId = await startShell(village);
    await untilState(village, sessionId, 'running');
    const controller = await attachRaw(village, sessionId);
    const viewers = [controller];
    while (viewers.length < VIEWERS) viewers.push(await attachRaw(village, sessionId, 'watch'));
    // The kernel's echo alone: no prompt, no line editor.
    await untilAll(
      1,
      () => controller.type('stty -icanon; echo is-quiet; cat > /dev/null\r'),
      (onOne) => hear([controller], 'is-quiet\\r\\n', onOne),
    );
    return await summary(n, (index) => {
      const key = KEYS[index % KEYS.length] ?? 'a';
      return untilAll(
        VIEWERS,
        () => controller.type(key),
        (onOne) => hear(viewers, `"data":"${key}`, onOne),
      );
    });
  } finally {
    await village.close();
  }
};

const barePosts = async (n: number): Promise<Summary> => {
  const port = await firstLine(child(process.execPath, [`${ROOT}/test/bench/hop-peer.ts`, 'post-to-all']));
  const sockets: WebSocket[] = [];
  while (sockets.length < VIEWERS) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/viewer`, { perMessageDeflate: false });
    await new Promise((resolve) => socket.once('open', resolve));
    // Known to the far end, which posts to whom it has heard.
    socket.send('{"type":"join"}');
    sockets.push(socket);
  }
  const frame = JSON.stringify({ type: 'terminal_output', data: 'a', filler: 'x'.repeat(300) });
  const result = await summary(n, () =>
    untilAll(
      VIEWERS,
      () => sockets[0]?.send(frame),
      (onOne) => {
        for (const socket of sockets) socket.once('message', onOne);
      },
    ),
  );
  for (const socket of sockets) socket.close();
  return result;
};

export const fanout = async (n: number) => {
  const village = await throughVillage(n);
  const baseline = await barePosts(n);
  return {
    unit: 'ms',
    viewers: VIEWERS,
    village,
    baseline: { what: `${VIEWERS} bare SDK PostToConnection in parallel, received`, ...baseline },
    ratioP50: Math.round((village.p50 / baseline.p50) * 100) / 100,
  };
};
