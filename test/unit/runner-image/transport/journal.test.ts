import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Disk, realDisk } from '../../../../runner-image/src/transport/disk.ts';
import { openJournal, readJournal } from '../../../../runner-image/src/transport/journal.ts';
import type { EventEnvelope } from '../../../../shared/events.ts';

const event = (rseq: number, pad = ''): EventEnvelope => ({
  v: 1,
  sessionId: 'ses_01J0000000000000000000000A',
  tenantId: 'local',
  epoch: 1,
  rseq,
  ts: 1,
  offset: 0,
  type: 'provider_message',
  pad,
});

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'journal-'));
  path = join(folder, 'journal');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('journal', () => {
  it('restores numbers, unacknowledged events and the sealed batch', () => {
    const { journal } = openJournal(path);
    for (let rseq = 1; rseq <= 4; rseq++) journal.append(event(rseq));
    journal.seal({ firstRseq: 1, lastRseq: 2, uploads: [] });
    journal.acked(2);
    journal.seal({ firstRseq: 3, lastRseq: 4, uploads: [] });
    journal.append(event(5));
    journal.close();
    const { state } = openJournal(path);
    expect(state).toMatchObject({ nextRseq: 6, ackedRseq: 2, sealed: { firstRseq: 3, lastRseq: 4 } });
    expect(state.events.map((e) => e.rseq)).toEqual([3, 4, 5]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('goes on after a torn tail, at every byte it may be torn', () => {
    const { journal } = openJournal(path);
    journal.append(event(1));
    journal.append(event(2));
    journal.close();
    const whole = readFileSync(path);
    const firstEnd = whole.indexOf('\n', whole.indexOf('"event"')) + 1;
    for (let end = firstEnd; end < whole.length; end += 7) {
      writeFileSync(path, whole.subarray(0, end));
      const opened = openJournal(path);
      expect(opened.state).toMatchObject({ nextRseq: 2, ackedRseq: 0 });
      opened.journal.append(event(2, 'again'));
      opened.journal.close();
      expect(openJournal(path).state.events.map((e) => e.rseq)).toEqual([1, 2]);
    }
  });

  it('trusts nothing after a line that does not belong', () => {
    const { journal } = openJournal(path);
    journal.append(event(1));
    journal.close();
    appendFileSync(path, `${JSON.stringify({ k: 'event', event: event(7) })}\n`);
    expect(readJournal(readFileSync(path, 'utf8'))).toMatchObject({ isTorn: true, state: { nextRseq: 2 } });
  });

  it('refuses to record out of order', () => {
    const { journal } = openJournal(path);
    expect(() => journal.append(event(2))).toThrow('expected 1');
    journal.close();
  });

  it('is rewritten once most of it is acknowledged, and counts live bytes', () => {
    const { journal } = openJournal(path);
    for (let rseq = 1; rseq <= 100; rseq++) journal.append(event(rseq, 'x'.repeat(8_000)));
    expect(journal.liveBytes).toBeGreaterThan(800_000);
    const beforeBytes = statSync(path).size;
    journal.acked(99);
    expect(statSync(path).size).toBeLessThan(beforeBytes / 10);
    expect(journal.liveBytes).toBeLessThan(10_000);
    journal.append(event(101));
    journal.close();
    expect(openJournal(path).state).toMatchObject({ nextRseq: 102, ackedRseq: 99 });
    openJournal(path).journal.remove();
    expect(existsSync(path)).toBe(false);
  });

  it('a full disk costs the event that did not fit and nothing after it', () => {
    let roomBytes = 600;
    const small: Disk = {
      ...realDisk,
      openAppend: (file) => {
        const real = realDisk.openAppend(file);
        return {
          ...real,
          append: (bytes) => {
            real.append(bytes.subarray(0, roomBytes));
            if (bytes.length > roomBytes) throw new Error('ENOSPC');
            roomBytes -= bytes.length;
          },
        };
      },
    };
    const { journal } = openJournal(path, small);
    journal.append(event(1));
    expect(() => journal.append(event(2, 'x'.repeat(1_000)))).toThrow('ENOSPC');
    roomBytes = 100_000;
    journal.append(event(2));
    journal.append(event(3));
    journal.close();
    expect(openJournal(path).state.events.map((e) => e.rseq)).toEqual([1, 2, 3]);
  });
});
