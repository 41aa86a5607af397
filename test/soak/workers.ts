/** Sessions that work: started one after the other, prompted at a steady pace until they are told to end. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sleep, systemClock } from '../../shared/clock.ts';
import { SessionStarted } from '../../shared/http.ts';
import { isFinal, SessionView } from '../../shared/session.ts';
import { CLAUDE_VERSION, ROOT, realClaude, type TestVillage, until } from '../fakes/village.ts';

const FAKE_VERSION = '0.0.1';
const START_TIMEOUT_MS = 5 * 60_000;
const END_TIMEOUT_MS = 10 * 60_000;
const SOON_MS = 500;
const TURNS = 200;
const WORDS = 'The quick brown fox jumps over the lazy dog. '.repeat(8);

/** Work of every kind: words, a file, a command, a wait. */
const scenario = {
  turns: Array.from({ length: TURNS }, (_, turn) => ({
    steps: [
      { say: `Turn ${turn}. ${WORDS}` },
      { write: { path: `src/file-${turn % 5}.txt`, content: `turn ${turn}\n`.repeat(20) } },
      { waitMs: 200 },
      { run: `seq -f "line %.0f of turn ${turn}" 40` },
      { say: 'Done.' },
    ],
  })),
};

/** Folder with `claude` in it, for runners' PATH. Throws where the real one is wanted and missing. */
export const prepareCli = (village: TestVillage, isReal: boolean): string => {
  if (isReal) {
    const file = realClaude();
    if (file === undefined) throw new Error('the real Claude Code is not in the cache: npm test fetches it');
    return dirname(file);
  }
  const file = join(village.root, 'scenario.json');
  writeFileSync(file, JSON.stringify(scenario));
  const agent = join(ROOT, 'test/fakes/agent/main.ts');
  const script = `#!/bin/sh\nexec '${process.execPath}' '${agent}' --scenario '${file}' "$@"\n`;
  const folder = dirname(village.addFakeClaude(FAKE_VERSION, script));
  mkdirSync(folder, { recursive: true });
  chmodSync(join(folder, 'claude'), 0o755);
  return folder;
};
export const buildSpec = (isReal: boolean): string => `claude_code@${isReal ? CLAUDE_VERSION : FAKE_VERSION}`;

/** Refused for now, as a platform under chaos does: the same call again. Undefined when it was not even answered. */
const call = async (village: TestVillage, method: string, path: string, body?: unknown) => {
  const answer = await village.api(method, path, body).catch(() => undefined);
  return answer === undefined || answer.status === 429 || answer.status >= 500 ? undefined : answer;
};
export const sure = (village: TestVillage, method: string, path: string, body?: unknown) =>
  until(`an answer to ${method} ${path}`, () => call(village, method, path, body), START_TIMEOUT_MS);

export const viewOf = async (village: TestVillage, sessionId: string): Promise<SessionView> =>
  SessionView.parse((await sure(village, 'GET', `/api/sessions/${sessionId}`)).body);

export const startSession = async (village: TestVillage, body: object, name: string): Promise<string> => {
  // The same key again is the same session, also where the first answer was lost.
  const headers = { 'idempotency-key': name, 'content-type': 'application/json' };
  const { url, token } = village.endpoint();
  const start = async () => {
    const options = {
      method: 'POST',
      headers: { ...headers, authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
    };
    const response = await fetch(`${url}/api/sessions`, options).catch(() => undefined);
    if (response === undefined || response.status === 429 || response.status >= 500) return undefined;
    return SessionStarted.parse(await response.json()).sessionId;
  };
  const sessionId = await until(`the start of ${name}`, start, START_TIMEOUT_MS);
  await until(
    `${sessionId} to run`,
    async () => {
      const view = await viewOf(village, sessionId);
      if (isFinal(view.state)) throw new Error(`${sessionId} is ${view.state}: ${JSON.stringify(view.reason)}`);
      return view.state === 'running' ? view : undefined;
    },
    START_TIMEOUT_MS,
    village.taskLogs,
  );
  return sessionId;
};

export interface Worker {
  readonly sessionId: string;
  /** Prompts that the village said it took. */
  readonly taken: readonly string[];
  /** Prompts of which no answer came: they may have been taken. */
  readonly unsure: readonly string[];
  stop(): Promise<void>;
}

export interface WorkerOptions {
  readonly name: string;
  readonly pool: string;
  readonly buildId: string | undefined;
  readonly paceMs: number;
}

/** Resolves when it runs. Prompts begin at once, and come at `paceMs`. */
export const startWorker = async (village: TestVillage, options: WorkerOptions): Promise<Worker> => {
  const { name, pool, buildId, paceMs } = options;
  const body = {
    ...{ provider: 'claude_code', model: 'scripted', scenario, pool, prompt: `${name}-0` },
    repository: { url: village.repository('worked-on') },
    ...(buildId === undefined ? {} : { buildId }),
  };
  const sessionId = await startSession(village, body, name);
  const taken = [`${name}-0`];
  const unsure: string[] = [];
  const end = new AbortController();
  const working = (async () => {
    for (let turn = 1; !end.signal.aborted; turn += 1) {
      await sleep(systemClock, paceMs, end.signal).catch(() => {}); // The end came.
      if (end.signal.aborted) return;
      const data = `${name}-${turn}`;
      for (let again = true; again && !end.signal.aborted; ) {
        const answer = await village
          .api('POST', `/api/sessions/${sessionId}/input`, { data, submit: true })
          .catch(() => undefined);
        again = answer?.status === 429 || answer?.status === 409;
        if (again) await sleep(systemClock, SOON_MS);
        else if (answer !== undefined && answer.status < 300) taken.push(data);
        else unsure.push(data);
      }
    }
  })();
  return {
    ...{ sessionId, taken, unsure },
    async stop() {
      end.abort();
      await working;
    },
  };
};

export const endSession = async (village: TestVillage, sessionId: string): Promise<SessionView> => {
  await sure(village, 'POST', `/api/sessions/${sessionId}/stop`, {});
  return until(
    `the end of ${sessionId}`,
    async () => {
      const view = await viewOf(village, sessionId);
      return isFinal(view.state) ? view : undefined;
    },
    END_TIMEOUT_MS,
    village.taskLogs,
  );
};
