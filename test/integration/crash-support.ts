/** Crashes of the runner process under the real pty-host, and what must be true afterwards. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, vi } from 'vitest';
import { TranscriptChunk } from '../../shared/http.ts';
import { TranscriptReplay } from '../../shared/viewer/transcript-replay.ts';
import type { startRunner } from './runner-fixture.ts';

export type Started = Awaited<ReturnType<typeof startRunner>>;

const DEAD = { timeout: 10_000, interval: 2 };

/** Kills the runner process and resolves when the next one is welcome. */
export const killRunner = async (started: Started, whileDead: () => Promise<void> | void = () => {}): Promise<void> => {
  const { control, host } = started;
  const dials = control.dials.length;
  if (host.pid === undefined) throw new Error('pty-host is not running');
  // While pty-host is stopped nobody starts the next runner: what happens meanwhile happens without one.
  process.kill(host.pid, 'SIGSTOP');
  try {
    const pid = started.runnerPid();
    process.kill(pid, 'SIGKILL');
    // Its sockets are closed when its last thread has ended; the one that would bury it is stopped.
    await vi.waitFor(() => {
      expect(readFileSync(`/proc/${pid}/stat`, 'latin1')).toMatch(/\) Z /);
      expect(readdirSync(`/proc/${pid}/task`)).toHaveLength(1);
    }, DEAD);
    await whileDead();
  } finally {
    process.kill(host.pid, 'SIGCONT');
  }
  await control.until('the next runner', () => control.dials.length > dials || undefined);
};

/** Hook clients of the session that run now. */
export const hookClients = (started: Started): number[] =>
  started.processesWith(join(started.root, 'state')).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('hook-client.mjs');
    } catch {
      // It ended while we looked.
      return false;
    }
  });

/** Numbers 1 to n, nothing that control plane and runner disagree about. */
export const expectNothingLost = ({ control }: Started): void => {
  expect(control.problems).toEqual([]);
  expect(control.events.map(({ rseq }) => rseq)).toEqual(control.events.map((_, index) => index + 1));
  const offsets = control.events.map(({ offset }) => offset);
  expect(offsets).toEqual(offsets.toSorted((one, other) => one - other));
};

/** The whole terminal stream as the stored transcript has it. */
export const storedText = ({ control }: Started): string => {
  const chunks = control.events
    .filter((event) => event.type === 'transcript_chunk_stored')
    .map(({ key }) => TranscriptChunk.parse(JSON.parse(gunzipSync(control.objects.get(String(key)) ?? '').toString())));
  const replay = new TranscriptReplay();
  const text = chunks
    .toSorted((one, other) => one.firstOffset - other.firstOffset)
    .flatMap((chunk) => replay.next(chunk))
    .flatMap((action) => (action.kind === 'write' ? [action.data] : []))
    .join('');
  expect(replay.at?.offset).toBe(control.events.at(-1)?.offset);
  return text;
};
