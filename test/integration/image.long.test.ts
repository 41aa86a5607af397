/** The runner's image, built from its Dockerfile, as the runner of a real village. Long: a cold build takes minutes. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildImage } from '../../runner-image/build/build-image.ts';
import { openStorage, podmanArguments } from '../../runner-image/build/storage.ts';
import { BUILD_TOOLS, missingTools, RUN_TOOLS, SYSTEM_FOLDERS } from '../../runner-image/build/tools.ts';
import { EventPage, SessionDiff, SessionStarted } from '../../shared/http.ts';
import { SessionView } from '../../shared/session.ts';
import { CLAUDE_VERSION, realClaude, type TestVillage, testVillage, until } from '../fakes/village.ts';

const BUILD_TIMEOUT_MS = 20 * 60_000;
const SESSION_TIMEOUT_MS = 120_000;
const COMMAND_TIMEOUT_MS = 60_000;
/** Where the repository lies inside the image that is tested: a container sees no folder of this machine. */
const REPOSITORY = '/srv/repository';

const reasonToSkip = (): string | undefined => {
  if (!process.env.VILLAGE_LONG) return 'part of npm run test:long';
  const missing = missingTools([...BUILD_TOOLS, ...RUN_TOOLS], `${process.env.PATH ?? ''}:${SYSTEM_FOLDERS}`);
  if (missing.length > 0) return `${missing.join(', ')} not found (apt-get install buildah podman runc mmdebstrap)`;
  return process.getuid?.() === 0 ? undefined : 'limits of containers are set as root';
};
const skipped = reasonToSkip();
if (skipped !== undefined) console.log(`image as a runner: skipped, ${skipped}`);

const claude = skipped === undefined ? realClaude() : undefined;
const storage = openStorage();
const tag = `localhost/agent-village-runner:test-${randomBytes(4).toString('hex')}`;
const image = `${tag}-repository`;
let village: TestVillage;

/** Resolves with what it wrote; rejects unless it ends with 0. */
const run = (file: string, args: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const options = { env: storage.env, timeout: COMMAND_TIMEOUT_MS, killSignal: 'SIGKILL' } as const;
    execFile(file, args, options, (error, stdout, stderr) =>
      error === null ? resolve(stdout) : reject(new Error(`${file} ${args.join(' ')}: ${error.message}${stderr}`)),
    );
  });
const podman = (...args: string[]): Promise<string> => run('podman', [...podmanArguments(storage), ...args]);
const containers = async (): Promise<string[]> =>
  (await podman('ps', '--all', '--quiet', '--filter', `ancestor=${image}`)).split('\n').filter((line) => line !== '');
const volumes = async (): Promise<string[]> => (await podman('volume', 'ls', '--quiet')).trim().split('\n').sort();

/** The built image with a repository in it, since tasks are given no folder of the machine, and the cached Claude Code, which is not downloaded again. */
const addRepository = async (): Promise<void> => {
  const context = mkdtempSync(join(tmpdir(), 'village-context-'));
  const commit = 'git -c user.name=t -c user.email=t@example.invalid commit -qm first';
  try {
    const dockerfile = [
      `FROM ${tag}`,
      'USER 0',
      `RUN git init -q -b main ${REPOSITORY} && cd ${REPOSITORY} && echo hello > README.md && git add . && ${commit}`,
      'RUN chown -R 10001 /srv',
      ...(claude === undefined ? [] : ['COPY --from=claude . /opt/village/clis/claude_code/']),
      'USER 10001:10001',
    ];
    writeFileSync(join(context, 'Dockerfile'), `${dockerfile.join('\n')}\n`);
    const named = claude === undefined ? [] : ['--build-context', `claude=${claude.split('/node_modules/')[0]}`];
    await run('buildah', ['build', '--format', 'docker', ...named, '--tag', image, context]);
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
};

const startSession = async (more: Readonly<Record<string, unknown>> = {}): Promise<string> => {
  const body = { provider: 'shell', repository: { url: REPOSITORY }, ...more };
  const answer = await village.api('POST', '/api/sessions', body);
  expect(answer).toMatchObject({ status: 201 });
  return SessionStarted.parse(answer.body).sessionId;
};
const show = async (sessionId: string): Promise<SessionView> =>
  SessionView.parse((await village.api('GET', `/api/sessions/${sessionId}`)).body);
const reaches = async (sessionId: string, state: string): Promise<SessionView> => {
  let last: SessionView | undefined;
  const ask = async () => {
    last = await show(sessionId);
    if (last.state === 'failed' && state !== 'failed') throw new Error(`failed: ${JSON.stringify(last.reason)}`);
    return last.state === state ? last : undefined;
  };
  return until(`state ${state}`, ask, SESSION_TIMEOUT_MS, () => JSON.stringify(last));
};
const noContainer = () =>
  until('the end of the container', async () => ((await containers()).length === 0 ? true : undefined));

describe.skipIf(skipped !== undefined)(
  `the image as a runner${skipped === undefined ? '' : ` (skipped: ${skipped})`}`,
  () => {
    beforeAll(async () => {
      const lines: string[] = [];
      const built = await buildImage({ storage, tag, say: (line) => lines.push(line) });
      expect(built, lines.slice(-20).join('\n')).toMatchObject({ kind: 'built', tag });
      await addRepository();
      village = testVillage();
      await village.start({ env: { VILLAGE_RUNNER_IMAGE: image, VILLAGE_IMAGE_STORE: storage.dir } });
    }, BUILD_TIMEOUT_MS);
    afterAll(async () => {
      await village?.close();
      // A build that failed left no image to remove, and its own error is the one to see.
      await podman('rmi', '--force', image, tag).catch(() => {});
    });

    it(
      'completes a shell session, without any right and on a read-only root',
      async () => {
        const before = await volumes();
        const limits = '/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max';
        const look = `id -u; touch /app/made; grep -E "^(CapEff|NoNewPrivs)" /proc/self/status; cat ${limits}`;
        const sessionId = await startSession({ prompt: `{ ${look}; } > seen.txt 2>&1` });
        const { head } = await reaches(sessionId, 'completed');
        const diff = SessionDiff.parse((await village.api('GET', `/api/sessions/${sessionId}/diff`)).body);
        expect(diff.files).toMatchObject([{ path: 'seen.txt', status: 'added' }]);
        expect(diff.patch).toContain('+10001\n');
        expect(diff.patch).toContain("'/app/made': Read-only file system");
        expect(diff.patch).toMatch(/CapEff:\s+0000000000000000/);
        expect(diff.patch).toMatch(/NoNewPrivs:\s+1/);
        expect(diff.patch).toContain(`+${2_048 * 1024 * 1024}\n`);

        const answer = await village.api('GET', `/api/sessions/${sessionId}/events?limit=1000`);
        const { events } = EventPage.parse(answer.body);
        expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
        expect(events).toHaveLength(head.seq);
        expect(events.findLast(({ type }) => type === 'usage_tick')).toMatchObject({ final: true });
        await noContainer();
        expect(await volumes()).toEqual(before);
      },
      SESSION_TIMEOUT_MS + 30_000,
    );

    it.skipIf(claude === undefined)(
      'runs the real Claude Code on a scripted model',
      async () => {
        expect((await village.command('builds', 'add', `claude_code@${CLAUDE_VERSION}`)).code).toBe(0);
        const write = { path: 'src/a.ts', content: 'export const a = 1;\n' };
        const sessionId = await startSession({
          provider: 'claude_code',
          model: 'scripted',
          scenario: { turns: [{ steps: [{ write }, { run: 'id -u > uid.txt' }, { say: 'Done.' }] }] },
          prompt: 'go',
        });
        await reaches(sessionId, 'completed');
        const diff = SessionDiff.parse((await village.api('GET', `/api/sessions/${sessionId}/diff`)).body);
        expect(diff.files.map(({ path }) => path)).toEqual(['src/a.ts', 'uid.txt']);
        expect(diff.patch).toContain('+10001\n');
        await noContainer();
      },
      SESSION_TIMEOUT_MS + 30_000,
    );

    it(
      'has pty-host as its first process, is healthy, and is gone after a stop',
      async () => {
        const sessionId = await startSession();
        await reaches(sessionId, 'running');
        const [container = '', ...others] = await containers();
        expect(others).toEqual([]);
        const first = await podman('exec', container, 'bash', '-c', "cat /proc/1/cmdline | tr '\\0' ' '");
        expect(first).toContain('runner-image/src/pty-host/main.ts');
        await podman('exec', container, 'node', '/app/runner-image/build/health-check.ts');
        await expect(
          podman('exec', '--env', 'TMPDIR=/village', container, 'node', '/app/runner-image/build/health-check.ts'),
        ).rejects.toThrow('no pty-host listens');
        expect(await village.api('POST', `/api/sessions/${sessionId}/stop`, {})).toMatchObject({ status: 202 });
        await reaches(sessionId, 'completed');
        await noContainer();
      },
      SESSION_TIMEOUT_MS + 30_000,
    );

    it(
      'leaves no container when the village is killed',
      async () => {
        const sessionId = await startSession();
        await reaches(sessionId, 'running');
        expect(await containers()).toHaveLength(1);
        const [{ pid } = { pid: 0 }] = village.processes().filter(({ command }) => command.includes('local/start.mjs'));
        expect(pid).toBeGreaterThan(0);
        await village.close();
        await noContainer();
      },
      SESSION_TIMEOUT_MS + 30_000,
    );
  },
);
