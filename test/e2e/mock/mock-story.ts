/** A village with one session of each kind, for looking at the page. */
import type { TranscriptChunk } from '../../../shared/http.ts';
import { mockEvents, mockId, mockRunner, mockSession } from './mock-data.ts';
import type { MockVillage } from './mock-village.ts';

const ESC = '\u001b';
const TERMINAL = [
  `${ESC}[38;5;174m✻${ESC}[0m Welcome to ${ESC}[1mClaude Code${ESC}[0m v2.1.330`,
  '',
  `${ESC}[2m> Add a health endpoint and a test for it${ESC}[0m`,
  '',
  `${ESC}[32m●${ESC}[0m I will look at the routes first.`,
  `${ESC}[32m●${ESC}[0m ${ESC}[1mRead${ESC}[0m(src/routes.ts)`,
  `  ⎿  Read 84 lines`,
  `${ESC}[32m●${ESC}[0m ${ESC}[1mUpdate${ESC}[0m(src/routes.ts)`,
  `  ⎿  ${ESC}[32m+3${ESC}[0m ${ESC}[31m-1${ESC}[0m  https://example.com/docs`,
  `${ESC}[32m●${ESC}[0m ${ESC}[1mBash${ESC}[0m(npm test)`,
  `  ⎿  ${ESC}[32m✓${ESC}[0m 41 passed  日本語 ████`,
  '',
  `Done. ${ESC}[33mGET /health${ESC}[0m answers 200.`,
].join('\r\n');

const PATCH = `diff --git a/src/routes.ts b/src/routes.ts
index 1111111..2222222 100644
--- a/src/routes.ts
+++ b/src/routes.ts
@@ -10,6 +10,8 @@ export const routes = (app: App) => {
   app.get('/', home);
   app.get('/boats', listBoats);
-  app.get('/crew', listCrew);
+  app.get('/crew', listCrew, { cache: false });
+  // Answers before the database is up: the load balancer asks early.
+  app.get('/health', () => ({ status: 'ok' }));
   app.post('/boats', addBoat);
   return app;
 };
diff --git a/test/health.test.ts b/test/health.test.ts
new file mode 100644
index 0000000..3333333
--- /dev/null
+++ b/test/health.test.ts
@@ -0,0 +1,4 @@
+import { expect, it } from 'vitest';
+it('is healthy', async () => {
+  expect((await get('/health')).status).toBe(200);
+});
`;

const fileOf = (path: string, status: 'modified' | 'added', added: number, removed: number) => ({
  path,
  status,
  staged: false,
  binary: false,
  added,
  removed,
});
const ago = (ms: number): string => new Date(Date.now() - ms).toISOString();

const live = mockId('ses', 1);
const MINUTE = 60_000;

export const SHOWN = {
  live,
  queued: mockId('ses', 7),
  parked: mockId('ses', 8),
  booting: mockId('ses', 4),
  failed: mockId('ses', 5),
  ended: mockId('ses', 6),
  /** What the live session's runner sends. */
  play: (village: MockVillage): void => {
    const data = TERMINAL;
    village.send(live, {
      type: 'terminal_output',
      sessionId: live,
      epoch: 1,
      agentId: mockId('agt', 1),
      stream: 'stdout',
      offset: 0,
      sizeRev: 1,
      cols: 100,
      rows: 30,
      seq: 0,
      ts: Date.now(),
      data,
    });
  },
};

const addLive = (village: MockVillage): void => {
  const session = mockSession(1, { title: 'Add a health endpoint and a test for it', createdAt: ago(4 * MINUTE) });
  village.add(session, {
    events: mockEvents(session, [
      {
        type: 'session_created',
        provider: 'claude_code',
        buildId: session.buildId,
        createdBy: 'owner',
        title: session.title,
      },
      { type: 'session_state_changed', fromState: 'created', toState: 'preparing_workspace', reason: null },
      { type: 'workspace_ready', headCommit: 'a1b2c3d4e5f60718', branch: 'main', mirror: 'warm', tookMs: 812 },
      { type: 'provider_started', provider: 'claude_code', cliVersion: '2.1.330', pid: 100, isolation: 'shared_uid' },
      { type: 'gate_proven', proof: 'session_start_hook', cliInstanceId: 'one' },
      { type: 'session_state_changed', fromState: 'starting_provider', toState: 'running', reason: null },
      { type: 'turn_started', turn: 1, prompt: 'Add a health endpoint and a test for it' },
      { type: 'tool_requested', toolUseId: 't1', toolName: 'Read', summary: 'src/routes.ts' },
      { type: 'file_touched', files: [{ path: 'src/routes.ts', kind: 'modified' }], more: 0 },
      { type: 'tool_denied', toolUseId: 't2', toolName: 'Bash', rule: 'network', reason: 'curl needs approval' },
      { type: 'command_executed', command: 'npm test', exitCode: 0, tookMs: 4_100 },
      { type: 'diff_summary', files: [], fileCount: 2, linesAdded: 7, linesRemoved: 1, truncated: false, key: null },
      { type: 'turn_finished', turn: 1, tookMs: 61_000 },
    ]),
    diff: {
      files: [fileOf('src/routes.ts', 'modified', 3, 1), fileOf('test/health.test.ts', 'added', 4, 0)],
      linesAdded: 7,
      linesRemoved: 1,
      patch: PATCH,
      truncated: false,
      headCommit: 'a1b2c3d4e5f60718',
      branch: 'main',
    },
  });
};

const addStarts = (village: MockVillage): void => {
  const booting = mockSession(4, {
    state: 'preparing_workspace',
    title: 'Upgrade the build to Node 24',
    createdAt: ago(9_000),
    startedAt: null,
  });
  village.add(booting, {
    live: false,
    events: mockEvents(booting, [
      {
        type: 'session_created',
        provider: 'claude_code',
        buildId: booting.buildId,
        createdBy: 'owner',
        title: booting.title,
      },
      { type: 'runner_registered', runnerId: 'runner-1', runnerVersion: '0.1.0' },
      { type: 'workspace_preparing', repository: booting.repository.url, ref: 'main', step: 'preparing_workspace' },
    ]),
  });
  const reason = {
    code: 'branch_not_found',
    message: 'The repository has no branch, tag or commit “realease”.',
    hint: 'Its branches are: main, release.',
    step: 'preparing_workspace' as const,
    lastScreen: 'fatal: couldn’t find remote ref realease',
  };
  const failed = mockSession(5, {
    state: 'failed',
    reason,
    title: 'Fix the flaky login test',
    createdAt: ago(20 * MINUTE),
    lastEventAt: ago(19 * MINUTE),
    endedAt: ago(20 * MINUTE - 2_000),
    startedAt: null,
  });
  village.add(failed, {
    events: mockEvents(
      failed,
      [
        {
          type: 'session_created',
          provider: 'claude_code',
          buildId: failed.buildId,
          createdBy: 'owner',
          title: failed.title,
        },
        { type: 'runner_registered', runnerId: 'runner-1', runnerVersion: '0.1.0' },
        {
          type: 'workspace_preparing',
          repository: failed.repository.url,
          ref: 'realease',
          step: 'preparing_workspace',
        },
        { type: 'session_state_changed', fromState: 'preparing_workspace', toState: 'failed', reason },
      ],
      Date.now() - 20 * MINUTE,
    ),
  });
};

const addEnded = (village: MockVillage): void => {
  const ended = mockSession(6, {
    state: 'completed',
    provider: 'shell',
    model: 'default',
    title: 'Clean the fixtures',
    head: { epoch: 1, offset: 40, seq: 0 },
    createdAt: ago(180 * MINUTE),
    lastEventAt: ago(170 * MINUTE),
    endedAt: ago(170 * MINUTE),
  });
  const text = `$ ls\r\n${ESC}[34mfixtures${ESC}[0m  stored here\r\n$ exit\r\n`;
  const bytes = Buffer.byteLength(text);
  const chunk: TranscriptChunk = {
    v: 1,
    sessionId: ended.sessionId,
    epoch: 1,
    number: 0,
    firstOffset: 0,
    endOffset: bytes,
    keyframe: { cols: 100, rows: 30, sizeRev: 1, data: '' },
    parts: [{ k: 'o', ts: 0, offset: 0, data: text }],
  };
  village.add({ ...ended, head: { epoch: 1, offset: bytes, seq: 0 } }, { chunks: [chunk] });
};

/** A session in a queue, one that is parked, and the runners they ask for. */
const addPools = (village: MockVillage): void => {
  const queued = mockSession(7, {
    state: 'created',
    startedAt: null,
    placement: null,
    pool: 'build-farm',
    queuePosition: 3,
    title: 'Run the long benchmark',
    lastEventAt: ago(2 * MINUTE),
  });
  village.add(queued, { live: false });
  const parked = mockSession(8, {
    state: 'waiting_for_approval',
    parked: true,
    placement: null,
    title: 'Delete the old crew table',
    lastEventAt: ago(95 * MINUTE),
  });
  const key = 'checkpoints/1-2';
  village.add(parked, { live: false, events: mockEvents(parked, [{ type: 'session_parked', checkpointKey: key }]) });
  village.runners.push(
    mockRunner('run_1', {
      name: 'under-the-desk',
      clis: { claude_code: '2.1.330' },
      sessions: [{ sessionId: live, epoch: 1 }],
    }),
    mockRunner('run_2', { name: 'rack-4', state: 'draining', isolation: 'shared_uid' }),
    mockRunner('run_3', { name: 'rack-5', state: 'lost', lastSeenAt: ago(11 * MINUTE) }),
    mockRunner('run_4', {
      group: 'gpu',
      name: 'hot-one',
      state: 'registered',
      runnerVersion: '',
      lastSeenAt: null,
    }),
    mockRunner('task_1', { kind: 'hosted', group: null, state: 'connected', capacity: 1, sessionId: live, epoch: 1 }),
    mockRunner('warm_1', { kind: 'warm', group: null, state: 'connected', capacity: 1 }),
  );
};

/** What makes the terminal's bar and banners full: others, a question, typed text on its way, a cut made good. */
export const crowd = (village: MockVillage): void => {
  village.others.push(
    { sessionId: live, viewerId: 'grace', userId: 'grace', device: 'Safari on an iPhone' },
    { sessionId: live, viewerId: 'linus', userId: 'linus', device: 'command line' },
  );
  village.request = { viewerId: 'grace', sinceMs: 0, declined: false };
  village.announce(live);
};

export const fillVillage = (village: MockVillage): void => {
  addLive(village);
  addPools(village);
  village.add(
    mockSession(2, {
      state: 'waiting_for_approval',
      title: 'Move the crew service to the new queue, keeping old messages readable',
      lastEventAt: ago(6 * MINUTE),
    }),
  );
  village.add(
    mockSession(3, {
      state: 'paused_by_human',
      title: 'Try the new parser',
      provider: 'shell',
      lastEventAt: ago(34 * MINUTE),
    }),
  );
  addStarts(village);
  addEnded(village);
};
