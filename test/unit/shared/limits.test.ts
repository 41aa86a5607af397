import { describe, expect, test } from 'vitest';
import { ControlToRunnerFrame, ControlToViewerFrame, RunnerFrame, ViewerFrame } from '../../../shared/frames.ts';
import { InputBody } from '../../../shared/http.ts';
import * as limits from '../../../shared/limits.ts';
import { fixture, type JsonObject, sizeBytes } from './fixtures.ts';

describe('limits hold together', () => {
  test('a batch and its envelope fit a frame, an event fits a batch', () => {
    expect(limits.BATCH_MAX_BYTES + limits.FRAME_ENVELOPE_BYTES).toBeLessThanOrEqual(limits.FRAME_MAX_BYTES);
    expect(limits.EVENT_MAX_BYTES).toBeLessThanOrEqual(limits.BATCH_MAX_BYTES);
  });
  test('row events, and what each batch writes beside them, fit a DynamoDB transaction of 100', () => {
    /** Head, projection, segment, epoch, slot, counter. */
    expect(limits.BATCH_MAX_ROW_EVENTS + 6).toBeLessThanOrEqual(100);
    expect(limits.BATCH_MAX_ROW_EVENTS).toBeLessThanOrEqual(limits.BATCH_MAX_EVENTS);
  });
  test('a lease outlives two lost heartbeats, and a resend comes before it ends', () => {
    expect(limits.LEASE_MS).toBeGreaterThan(2 * limits.HEARTBEAT_MS);
    expect(limits.RESEND_FIRST_MS).toBeLessThan(limits.RESEND_MAX_MS);
    expect(limits.RESEND_MAX_MS).toBeLessThan(limits.LEASE_MS);
    expect(limits.LINGER_UNWATCHED_MS).toBeLessThanOrEqual(limits.HEARTBEAT_MS);
  });
  test('a runner redials before the gateway cuts it', () => {
    expect(limits.REDIAL_AFTER_MS + limits.REDIAL_JITTER_MS).toBeLessThan(limits.CONNECTION_MAX_MS);
    expect(limits.CONNECTION_TTL_MS).toBeGreaterThan(limits.CONNECTION_MAX_MS);
  });
  test('a viewer may lose one ping', () => {
    expect(limits.VIEWER_EXPIRY_MS).toBeGreaterThan(2 * limits.PING_INTERVAL_MS);
  });
  test('the runner gives up a boot step before the reaper gives up the start', () => {
    expect(limits.BOOT_LIMITS_MS.launching + limits.BOOT_LIMITS_MS.connecting).toBeLessThanOrEqual(
      limits.START_TIMEOUT_MS,
    );
    expect(limits.RUNNER_TOKEN_TTL_MS).toBeGreaterThan(limits.START_TIMEOUT_MS);
    expect(limits.REPOSITORY_PROBE_MS).toBeLessThan(10_000);
  });
  test('the hook client answers before the CLI gives up on it', () => {
    expect(limits.HOOK_CLIENT_DEADLINE_MS).toBeLessThan(limits.HOOK_TIMEOUT_MS);
  });
  test('a runner holds whatever a viewer may have on its way, also all at once; a reset jumps over it', () => {
    const charsOfFrame = Math.min(limits.INPUT_MAX_BYTES / 3, limits.INPUT_SERIALISED_MAX_BYTES / 6) - 1;
    const frames = limits.INPUT_WINDOW_FRAMES + limits.INPUT_WAITING_MAX_CHARS / charsOfFrame;
    expect(frames).toBeLessThan(limits.INPUT_MAX_HELD_FRAMES);
    expect(limits.INPUT_MAX_HELD_FRAMES).toBeLessThan(limits.INPUT_RESET_JUMP);
    expect(limits.INPUT_RESEND_FIRST_MS).toBeLessThan(limits.INPUT_HOLE_MS);
  });
  test('bodies fit their bodies: scenario and prompt a request, a request the API', () => {
    expect(limits.SCENARIO_MAX_BYTES + limits.PROMPT_MAX_CHARS).toBeLessThan(limits.HTTP_BODY_MAX_BYTES);
    expect(limits.PAGE_DEFAULT).toBeLessThanOrEqual(limits.PAGE_MAX);
    expect(limits.UPLOAD_GRANT_TTL_MS).toBeGreaterThan(limits.LINGER_UNWATCHED_MS);
  });
  test('an idle or running session ends before its credential would have to', () => {
    expect(limits.SESSION_IDLE_MS).toBeLessThanOrEqual(limits.SESSION_MAX_DURATION_MS);
  });
});

describe('the biggest frames that fit their schema fit a frame of 32 KiB', () => {
  const longest = { viewerId: 'v'.repeat(64), userId: 'u'.repeat(61), token: 'x'.repeat(1_000) };
  const viewers = Array.from({ length: limits.VIEWERS_PER_SESSION_MAX }, (_, index) => ({
    viewerId: String(index).padStart(64, 'v'),
    mode: 'control',
  }));
  const example = (direction: string, type: string): JsonObject => fixture(`frames/${direction}`, type);

  test('viewers and welcome, with as many viewers as there may be', () => {
    const frame = ControlToRunnerFrame.parse({ ...example('control-to-runner', 'viewers'), viewers });
    expect(sizeBytes(frame)).toBeLessThanOrEqual(limits.FRAME_MAX_BYTES);
    const more = [...viewers, { viewerId: 'more', mode: 'watch' }];
    expect(ControlToRunnerFrame.safeParse({ ...frame, viewers: more }).success).toBe(false);
  });

  test('presence, with as many viewers as there may be', () => {
    const present = viewers.map((viewer) => ({ ...viewer, userId: longest.userId, sinceMs: 9_999_999_999_999 }));
    const frame = ControlToViewerFrame.parse({ ...example('control-to-viewer', 'presence'), viewers: present });
    expect(sizeBytes(frame)).toBeLessThanOrEqual(limits.FRAME_MAX_BYTES);
  });

  test('heads of a pong, attachments of a ping', () => {
    const recorded = example('control-to-viewer', 'head');
    const head = { ...recorded, offset: Number.MAX_SAFE_INTEGER };
    const pong = ControlToViewerFrame.parse({ type: 'pong', ts: 1, heads: Array.from({ length: 64 }, () => head) });
    expect(sizeBytes(pong)).toBeLessThanOrEqual(limits.FRAME_MAX_BYTES);
    const attached = Array.from({ length: 16 }, () => ({
      sessionId: recorded.sessionId,
      viewerId: longest.viewerId,
    }));
    expect(sizeBytes(ViewerFrame.parse({ type: 'ping', ts: 1, attached }))).toBeLessThanOrEqual(limits.FRAME_MAX_BYTES);
  });

  test('a heartbeat with as many wishes as there may be', () => {
    const events = example('runner-to-control', 'runner_events');
    const [wish] = RunnerFrame.parse(events).type === 'runner_events' ? (events.uploads as unknown[]) : [];
    const frame = RunnerFrame.parse({
      ...events,
      capability: longest.token,
      events: [],
      uploads: Array.from({ length: limits.UPLOAD_GRANTS_AHEAD }, () => wish),
    });
    expect(sizeBytes({ ...frame, events: [] })).toBeLessThanOrEqual(limits.FRAME_MAX_BYTES - limits.BATCH_MAX_BYTES);
  });

  test.each([
    ['letters', 'a'],
    ['characters of three bytes', '界'],
    ['control characters, six bytes each as JSON', '\u0001'],
    ['quotes', '"'],
    ['halves of a pair', '\ud800'],
  ])('input of %s: what the schema takes can be delivered', (_name, character) => {
    const frame = { ...example('viewer-to-control', 'input'), view: longest.token, viewerId: longest.viewerId };
    let taken = '';
    for (let length = limits.INPUT_MAX_BYTES; length > 0 && taken === ''; length = Math.floor(length * 0.9)) {
      const data = character.repeat(length);
      expect(InputBody.safeParse({ data }).success).toBe(ViewerFrame.safeParse({ ...frame, data }).success);
      if (ViewerFrame.safeParse({ ...frame, data }).success) taken = data;
    }
    expect(taken.length).toBeGreaterThan(1_000);
    expect(sizeBytes({ ...frame, data: taken })).toBeLessThanOrEqual(limits.FRAME_MAX_BYTES);
    const toRunner = { ...example('control-to-runner', 'input'), viewerId: longest.viewerId, data: taken };
    expect(sizeBytes(ControlToRunnerFrame.parse(toRunner))).toBeLessThanOrEqual(limits.FRAME_MAX_BYTES);
  });
});
