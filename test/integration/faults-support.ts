/** Sessions of a real village while things go wrong around them, and what must be true afterwards. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { SessionEvent } from '../../shared/events.ts';
import { EventPage, SessionStarted } from '../../shared/http.ts';
import { isFinal, SessionView } from '../../shared/session.ts';
import { type PtyRecorder, ptyRecorder } from '../fakes/pty-recorder.ts';
import { type TestVillage, until } from '../fakes/village.ts';
import { checkStored, storedTerminal } from '../fakes/village-check.ts';
import { databaseOf, type VillageDatabase } from '../fakes/village-database.ts';
import { type TestViewer, testViewer } from '../fakes/village-viewer.ts';

/** What something may take on a machine that is busy with other things. */
export const PATIENCE_MS = 90_000;
const RECORDED_SHELL = ['/bin/bash', '--noprofile', '--norc', '-i'];

export const viewOf = async (village: TestVillage, sessionId: string): Promise<SessionView> =>
  SessionView.parse((await village.api('GET', `/api/sessions/${sessionId}`)).body);

export const reaches = (village: TestVillage, sessionId: string, what: string, is: (view: SessionView) => boolean) => {
  let last: SessionView | undefined;
  return until(
    `${sessionId} to be ${what}`,
    async () => {
      last = await viewOf(village, sessionId);
      return is(last) ? last : undefined;
    },
    PATIENCE_MS,
    () => `${last?.state} in epoch ${last?.epoch}\n${village.taskLogs()}`,
  );
};
export const runs = (village: TestVillage, sessionId: string, epoch = 1) =>
  reaches(village, sessionId, `running in epoch ${epoch}`, (view) => view.state === 'running' && view.epoch === epoch);

export const eventsOf = async (village: TestVillage, sessionId: string): Promise<SessionEvent[]> => {
  const found: SessionEvent[] = [];
  for (let fromSeq = 1; ; ) {
    const path = `/api/sessions/${sessionId}/events?limit=1000&fromSeq=${fromSeq}`;
    const { events, nextSeq, headSeq } = EventPage.parse((await village.api('GET', path)).body);
    found.push(...events);
    if (nextSeq > headSeq) return found;
    fromSeq = nextSeq;
  }
};

export const startShell = async (village: TestVillage, more: object = {}): Promise<string> => {
  const body = { provider: 'shell', repository: { url: village.repository('origin') }, ...more };
  const { sessionId } = SessionStarted.parse((await village.api('POST', '/api/sessions', body)).body);
  await runs(village, sessionId);
  return sessionId;
};

/** The one process of the village whose command line says `part`. */
export const processOf = (village: TestVillage, part: string): number => {
  const found = village.processes().filter(({ command }) => command.includes(part));
  const [one] = found;
  if (one === undefined || found.length > 1)
    throw new Error(`${found.length} processes of ${part}: ${JSON.stringify(found)}`);
  return one.pid;
};
export const killed = async (village: TestVillage, part: string): Promise<void> => {
  const pid = processOf(village, part);
  process.kill(pid, 'SIGKILL');
  await until(`the end of ${part}`, () => (village.processes().some((one) => one.pid === pid) ? undefined : true));
};

/** A shell whose every byte is recorded by script(1), typed into by one person. */
export interface RecordedShell {
  readonly sessionId: string;
  readonly viewer: TestViewer;
  readonly recorder: PtyRecorder;
  /** Commands so far, in the order they were typed. */
  readonly commands: readonly string[];
  /** Types a command line; does not wait. */
  run(command: string): void;
  /** Types a command that writes `text` and waits until it is seen. `text` holds no quotes. */
  says(text: string): Promise<void>;
}

export const recordedShell = async (
  village: TestVillage,
  sessionId: string,
  endpoint = village.endpoint(),
): Promise<RecordedShell> => {
  const recordings = join(village.root, `recordings-${sessionId}`);
  mkdirSync(recordings, { recursive: true });
  const recorder = ptyRecorder(join(village.root, `record-${sessionId}`), RECORDED_SHELL, recordings);
  const viewer = testViewer({ endpoint, sessionId, from: { epoch: 1, offset: 0 } });
  const seen = (what: string, is: () => boolean) =>
    until(
      what,
      () => (is() ? true : undefined),
      PATIENCE_MS,
      () => `${JSON.stringify(viewer.tail().slice(-600))} ${JSON.stringify(viewer.view())}\n${village.taskLogs()}`,
    );
  await seen('the keyboard', () => viewer.view().live === true && viewer.leads());
  viewer.type(`exec ${recorder.file}\r`);
  await seen('the recorder', () => readdirSync(recordings).length === 1);
  const commands: string[] = [];
  const run = (command: string): void => {
    commands.push(command);
    viewer.type(`${command}\r`);
  };
  return {
    ...{ sessionId, viewer, recorder, commands, run },
    async says(text) {
      // What is typed is echoed in another spelling than what the command prints.
      run(`echo ${text.slice(0, 1)}""${text.slice(1)}`);
      await seen(`"${text}" on the screen`, () => viewer.tail().includes(`${text}\r\n`));
    },
  };
};

/** Folders of sessions, of the village's own runners and of those of a customer. */
const folders = (village: TestVillage, roots: readonly string[]): string[] =>
  [join(village.dataDir, 'runner'), ...roots].flatMap((root) =>
    ['workspaces', 'scratch'].flatMap((name) => {
      const folder = join(root, name);
      return existsSync(folder) ? readdirSync(folder) : [];
    }),
  );
/** Programs of sessions, and runners that live as long as theirs; a runner of one's own stays. */
const programs = (village: TestVillage): string[] => {
  const commands = village.processes().map(({ command }) => command);
  const stays = commands.some((command) => command.includes('src/host/main.ts'));
  const what = stays
    ? /--norc|fakes\/agent|script -q/
    : /--norc|fakes\/agent|script -q|pty-host|runner-image\/src\/main/;
  return commands.filter((command) => what.test(command));
};

/** The tables keep every promise. Sessions may still run, if nothing is written at this moment. */
export const expectSound = async (
  village: TestVillage,
  { isOver = false, viewers = [] as readonly TestViewer[], database = undefined as VillageDatabase | undefined } = {},
) => {
  const opened = database ?? databaseOf(village);
  try {
    const ask = () => checkStored(opened, { isOver, seen: viewers.flatMap(({ events }) => events) });
    let last = await ask();
    // The tables are read one after the other: what was written in between looks broken, once.
    for (let again = 0; again < 3 && last.violations.length > 0; again += 1) last = await ask();
    expect(last.violations).toEqual([]);
    return last.stored;
  } finally {
    if (database === undefined) opened.close();
  }
};

/** Stops the sessions and checks all that must hold when nothing runs any more: tables, processes, folders. */
export const expectSoundEnd = async (
  village: TestVillage,
  sessionIds: readonly string[],
  options: Parameters<typeof expectSound>[1] & { readonly roots?: readonly string[] } = {},
) => {
  for (const sessionId of sessionIds) await village.api('POST', `/api/sessions/${sessionId}/stop`, {});
  for (const sessionId of sessionIds) await reaches(village, sessionId, 'over', (view) => isFinal(view.state));
  const nothing = (what: string, ask: () => string[]) =>
    until(
      `${what} to be gone`,
      () => (ask().length === 0 ? true : undefined),
      PATIENCE_MS,
      () => JSON.stringify(ask()),
    );
  await nothing('programs', () => programs(village));
  await nothing('folders', () => folders(village, options.roots ?? []));
  return expectSound(village, { ...options, isOver: true });
};

/** Byte for byte what the program wrote, in an epoch that it lived through; each command once and in order. */
export const expectRecorded = async (village: TestVillage, shell: RecordedShell, epoch = 1): Promise<void> => {
  const { text, holes } = await storedTerminal(village.endpoint(), shell.sessionId);
  const recorded = shell.recorder.bytes().toString('utf8');
  const stored = text.get(epoch) ?? '';
  expect(holes).toEqual([]);
  expect(recorded.length).toBeGreaterThan(0);
  expect(stored.slice(-recorded.length)).toBe(recorded);
  const ran = (await eventsOf(village, shell.sessionId)).flatMap((event) =>
    event.type === 'command_executed' && !event.command.startsWith('exec ') ? [event.command] : [],
  );
  expect(ran).toEqual(shell.commands);
  expect(shell.viewer.lost).toEqual([]);
};
