import { describe, expect, test } from 'vitest';
import { answerTo, awaitAnswer, keepAnswer } from '../../../../functions/sessions/api-inputs.ts';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { getDiff, getSession, getTranscript, listSessions } from '../../../../functions/sessions/read-session.ts';
import { sendInput } from '../../../../functions/sessions/send-input.ts';
import { setDesired } from '../../../../functions/sessions/set-desired.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { readEvents } from '../../../../functions/streams/segments.ts';
import type { Clock } from '../../../../shared/clock.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { SessionDiff, SessionList, Transcript } from '../../../../shared/http.ts';
import { API_INPUT_CONFIRM_MS, API_INPUT_RESEND_MS, API_INPUT_WAITING_MAX } from '../../../../shared/limits.ts';
import { SessionView } from '../../../../shared/session.ts';
import { addBuild, batchOf, controlPlanePorts, startedSession, TENANT } from '../../../fakes/control-plane-ports.ts';
import { fixture } from '../../shared/fixtures.ts';

const state = (fromState: string, toState: string): EventDraft =>
  ({ type: 'session_state_changed', fromState, toState, reason: null }) as EventDraft;
const toRunning = [
  state('created', 'preparing_workspace'),
  state('preparing_workspace', 'starting_provider'),
  state('starting_provider', 'running'),
];
const setUp = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  return { ports, ref };
};

describe('reading', () => {
  test('another tenant’s session and one that never was are the same 404', async () => {
    const { ports, ref } = await setUp();
    const never = { tenantId: TENANT, sessionId: 'ses_99999999999999999999999999' };
    for (const asked of [{ ...ref, tenantId: 'other' }, never])
      for (const read of [
        getSession,
        getDiff,
        (p: typeof ports, r: typeof ref) => getTranscript(p, r, { epoch: 1, offset: 0 }, 10),
      ])
        await expect(read(ports, asked)).rejects.toMatchObject({
          code: 'not_found',
          message: 'There is no such session.',
        });
    expect(SessionView.parse(await getSession(ports, ref)).sessionId).toBe(ref.sessionId);
  });

  test('lists a tenant’s own, newest first, page by page, by state', async () => {
    const ports = controlPlanePorts();
    const refs = [];
    for (let index = 0; index < 5; index += 1) {
      ports.clock.advance(1_000);
      refs.push(await startedSession(ports));
    }
    const [oldest] = refs;
    if (oldest === undefined) throw new Error('none');
    await ingestBatch(ports, oldest, batchOf(oldest, 1, [state('created', 'failed')]));
    const first = SessionList.parse(await listSessions(ports, TENANT, { limit: 3 }));
    const second = await listSessions(ports, TENANT, { limit: 3, cursor: first.cursor ?? '' });
    expect([...first.sessions, ...second.sessions].map(({ sessionId }) => sessionId)).toEqual(
      refs.map(({ sessionId }) => sessionId).reverse(),
    );
    expect(second.cursor).toBeNull();
    expect((await listSessions(ports, TENANT, { limit: 50, state: 'failed' })).sessions).toMatchObject(
      [oldest].map(({ sessionId }) => ({ sessionId })),
    );
    expect(await listSessions(ports, 'other', { limit: 3 })).toEqual({ sessions: [], cursor: null });
  });

  test('the diff is empty before the first, then the last one stored', async () => {
    const { ports, ref } = await setUp();
    expect(SessionDiff.parse(await getDiff(ports, ref))).toMatchObject({ files: [], patch: '' });
    const key = `tenants/${TENANT}/sessions/${ref.sessionId}/diff/000001/000001.json`;
    const summary: EventDraft = {
      type: 'diff_summary',
      files: [],
      fileCount: 0,
      linesAdded: 0,
      linesRemoved: 0,
      truncated: false,
      key,
    };
    await ingestBatch(ports, ref, batchOf(ref, 1, [summary]));
    await expect(getDiff(ports, ref)).rejects.toMatchObject({ code: 'unavailable' });
    await ports.objects.putJson(key, fixture('http', 'session-diff'));
    expect(await getDiff(ports, ref)).toEqual(fixture('http', 'session-diff'));
  });

  test('a diff under another session’s key is not taken', async () => {
    const { ports, ref } = await setUp();
    const key = `tenants/other/sessions/${ref.sessionId}/diff/000001/000001.json`;
    const summary: EventDraft = {
      type: 'diff_summary',
      files: [],
      fileCount: 0,
      linesAdded: 0,
      linesRemoved: 0,
      truncated: false,
      key,
    };
    await ingestBatch(ports, ref, batchOf(ref, 1, [summary]));
    expect((await ports.sessions.meta(ref))?.diffKey).toBeNull();
  });

  test('the transcript lists the chunks that committed events name, from an address on', async () => {
    const { ports, ref } = await setUp();
    const chunk = (number: number): EventDraft => ({
      type: 'transcript_chunk_stored',
      number,
      firstOffset: number * 100,
      endOffset: number * 100 + 100,
      key: 'whatever the runner says',
      sizeBytes: 50,
      sha256: 'a'.repeat(64),
    });
    await ingestBatch(ports, ref, batchOf(ref, 1, [chunk(0), chunk(1), chunk(2)]));
    const numbers = async (epoch: number, offset: number) =>
      Transcript.parse(await getTranscript(ports, ref, { epoch, offset }, 10)).chunks.map((stored) => stored.number);
    expect(await numbers(1, 0)).toEqual([0, 1, 2]);
    expect(await numbers(1, 100)).toEqual([1, 2]);
    expect(await numbers(1, 299)).toEqual([2]);
    expect(await numbers(1, 300)).toEqual([]);
    expect(await numbers(2, 0)).toEqual([]);
    const two = await getTranscript(ports, ref, { epoch: 1, offset: 0 }, 2);
    expect([two.chunks.length, two.more]).toEqual([2, true]);
    expect((await getTranscript(ports, ref, { epoch: 1, offset: 200 }, 2)).more).toBe(false);
    expect((await getTranscript(ports, ref, { epoch: 1, offset: 0 }, 10)).chunks[0]?.url).toContain(
      `tenants/${TENANT}/sessions/${ref.sessionId}/transcript/000001/000000.json.gz`,
    );
  });
});

describe('input over HTTP', () => {
  const line = { data: 'ls', submit: true };

  /** A runner that runs and hears `hears(n)` for the n-th post; time passes as it is waited for. */
  const running = async (hears: (post: number) => 'taken' | 'refused' | 'nothing') => {
    const { ports, ref } = await setUp();
    await ports.runners.set(ref, { connectionId: 'runner', epoch: 1, dial: 1 });
    await ingestBatch(ports, ref, batchOf(ref, 1, toRunning));
    const { clock, runnerSender } = ports;
    const posted = () => runnerSender.posted.flatMap(({ frame }) => (frame.type === 'input' ? [frame] : []));
    let heard = 0;
    const hear = async (): Promise<void> => {
      for (; heard < posted().length; heard += 1) {
        const answer = hears(heard + 1);
        const inputSeq = posted()[heard]?.inputSeq ?? 0;
        if (answer !== 'nothing') await keepAnswer(ports.db, { ref, epoch: 1, inputSeq }, answer);
      }
    };
    const passing: Clock = {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, run) => {
        clock.advance(delayMs);
        void hear().then(run);
        return () => {};
      },
    };
    return { ports: { ...ports, clock: passing }, ref, posted };
  };

  test('is numbered and delivered', async () => {
    const { ports, ref, posted } = await running(() => 'taken');
    await sendInput(ports, ref, line);
    await sendInput(ports, ref, line);
    expect(posted()).toMatchObject([
      { type: 'input', source: 'api', inputSeq: 1, data: 'ls', submit: true, epoch: 1 },
      { type: 'input', source: 'api', inputSeq: 2 },
    ]);
  });

  test('is posted again, under its number, until the runner says that it has it', async () => {
    const { ports, ref, posted } = await running((post) => (post < 3 ? 'nothing' : 'taken'));
    await sendInput(ports, ref, line);
    expect(posted().map(({ inputSeq }) => inputSeq)).toEqual([1, 1, 1]);
  });

  test('that nobody confirms is said to be unsure, and one that is refused is said to be refused', async () => {
    const silent = await running(() => 'nothing');
    await expect(sendInput(silent.ports, silent.ref, line)).rejects.toMatchObject({ code: 'input_unconfirmed' });
    expect(silent.posted().length).toBeGreaterThan(API_INPUT_CONFIRM_MS / API_INPUT_RESEND_MS / 2);
    const busy = await running(() => 'refused');
    await expect(sendInput(busy.ports, busy.ref, line)).rejects.toMatchObject({ code: 'session_not_ready' });
  });

  test('is refused where as many of the session wait as may', async () => {
    const { ports, ref, posted } = await running(() => 'nothing');
    await Promise.all(Array.from({ length: API_INPUT_WAITING_MAX }, () => sendInput(ports, ref, line).catch(() => {})));
    for (let inputSeq = 17; inputSeq <= 32; inputSeq += 1) await awaitAnswer(ports, { ref, epoch: 1, inputSeq });
    for (let given = 0; given < API_INPUT_WAITING_MAX; given += 1) await ports.watchers.nextApiInputSeq(ref);
    const before = posted().length;
    await expect(sendInput(ports, ref, line)).rejects.toMatchObject({ code: 'session_not_ready' });
    expect(posted()).toHaveLength(before);
  });

  test('has one answer, the first; what nobody waits for has none', async () => {
    const { ports, ref } = await setUp();
    const input = { ref, epoch: 1, inputSeq: 1 };
    await keepAnswer(ports.db, input, 'taken');
    expect(await answerTo(ports.db, input)).toBeNull();
    await awaitAnswer(ports, input);
    expect(await answerTo(ports.db, input)).toBeNull();
    await keepAnswer(ports.db, input, 'taken');
    await keepAnswer(ports.db, input, 'refused');
    expect(await answerTo(ports.db, input)).toBe('taken');
    expect(await answerTo(ports.db, { ...input, epoch: 2 })).toBeNull();
  });

  test.each([
    ['created', [], 'session_not_ready'],
    ['preparing_workspace', toRunning.slice(0, 1), 'session_not_ready'],
    ['paused_by_human', [...toRunning, state('running', 'paused_by_human')], 'session_not_ready'],
    ['running, without a runner', toRunning, 'session_not_ready'],
    ['completed', [...toRunning, state('running', 'completed')], 'session_ended'],
  ])('to a session that is %s is refused', async (_name, events, code) => {
    const { ports, ref } = await setUp();
    if (events.length > 0) await ingestBatch(ports, ref, batchOf(ref, 1, events));
    await expect(sendInput(ports, ref, line)).rejects.toMatchObject({ code });
    await expect(sendInput(ports, { ...ref, tenantId: 'other' }, line)).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('what is written can be read', () => {
  test('a reason of any length closes a session that still shows and lists', async () => {
    const { ports, ref } = await setUp();
    const message = `No task could be started: ${'x'.repeat(5_000)}`;
    const reason = { code: 'launch_failed', message };
    await closeEpoch(ports, ref, { epoch: 1, asRead: null, cause: 'launch_refused', reason });
    expect((await getSession(ports, ref)).reason?.message.startsWith('No task could be started: xxx')).toBe(true);
    expect((await readEvents(ports.db, ref, 0, 10)).map(({ type }) => type)).toContain('session_state_changed');
  });

  test('the longest ids that are ids fit their events', async () => {
    const ports = controlPlanePorts();
    const buildId = `b${'x'.repeat(120)}`;
    await addBuild(ports, buildId);
    const ref = await startedSession(ports, { buildId });
    await setDesired(ports, ref, 'pause', `u${'x'.repeat(60)}`);
    expect((await readEvents(ports.db, ref, 0, 10)).map(({ type }) => type)).toEqual([
      'session_created',
      'desired_changed',
    ]);
  });
});
