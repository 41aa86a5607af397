import { describe, expect, test } from 'vitest';
import { packEvents, unpackEvents } from '../../../../functions/streams/segment-text.ts';
import { FRAME_MAX_BYTES, SEGMENT_PLAIN_MAX_BYTES, SEGMENT_UNPACKED_MAX_BYTES } from '../../../../shared/limits.ts';
import { seededRandom } from '../../../fakes/control-plane-ports.ts';

/** As a batch of a work turn is stored: the row around it takes some 250 bytes more. */
const turn = JSON.stringify([
  {
    v: 1,
    rseq: 51,
    ts: 1_767_225_648_750,
    offset: 81_234,
    type: 'tool_requested',
    toolUseId: 'toolu_01A9',
    toolName: 'Edit',
    summary: 'src/a.ts',
    seq: 60,
  },
  {
    v: 1,
    rseq: 52,
    ts: 1_767_225_648_751,
    offset: 81_234,
    type: 'tool_started',
    toolUseId: 'toolu_01A9',
    toolName: 'Edit',
    summary: 'src/a.ts',
    seq: 61,
  },
  {
    v: 1,
    rseq: 53,
    ts: 1_767_225_648_771,
    offset: 81_240,
    type: 'tool_finished',
    toolUseId: 'toolu_01A9',
    toolName: 'Edit',
    ok: true,
    tookMs: 20,
    seq: 62,
  },
  {
    v: 1,
    rseq: 54,
    ts: 1_767_225_649_071,
    offset: 81_512,
    type: 'file_touched',
    files: [{ path: 'src/a.ts', kind: 'modified' }],
    more: 0,
    seq: 63,
  },
  {
    v: 1,
    rseq: 55,
    ts: 1_767_225_660_000,
    offset: 90_001,
    type: 'usage_tick',
    counters: { agentMs: 60_000, waitingMs: 0, frozenMs: 0, terminalBytes: 90_001, filesTouched: 3, commands: 7 },
    final: false,
    cliVersion: '2.1.330',
    runnerBuild: '0.1.0',
    taskDefinition: 'arn:aws:ecs:us-east-1:123456789012:task-definition/village-runner:7',
    seq: 64,
  },
]);

describe('the text of a segment', () => {
  test('of a few events stays as it is, and can be read by people', () => {
    const json = JSON.stringify([{ type: 'provider_idle', turnsDone: 1 }]);
    expect(packEvents(json)).toBe(json);
    expect(unpackEvents(json)).toBe(json);
  });

  test('of a turn with its tick takes no second KiB', () => {
    expect(Buffer.byteLength(turn)).toBeGreaterThan(900);
    expect(packEvents(turn).length).toBeLessThan(600);
    expect(unpackEvents(packEvents(turn))).toBe(turn);
  });

  test('comes back as it was, whatever it holds, and is never made longer', () => {
    const random = seededRandom(3);
    for (let round = 0; round < 200; round += 1) {
      const text = String.fromCodePoint(
        ...Array.from({ length: Math.floor(random.next() * 4_000) }, () => 32 + Math.floor(random.next() * 50_000)),
      );
      const json = JSON.stringify([{ type: 'provider_message', text }]);
      const packed = packEvents(json);
      expect(packed.length).toBeLessThanOrEqual(Math.max(json.length, SEGMENT_PLAIN_MAX_BYTES));
      expect(unpackEvents(packed)).toBe(json);
    }
  });

  test('that was written by this version is read by every later one', () => {
    const json = JSON.stringify(
      Array.from({ length: 40 }, (_, index) => ({ type: 'provider_idle', turnsDone: index })),
    );
    expect(packEvents(json)).toMatchInlineSnapshot(
      `"z1:jdTBEcIADAPBlpBESFILQyn0nhb2fy+v7a8sw8t2JpbVsln2tuyw7GPZadll2Y3jVQZ0CEIEJYIUQYsgRlAjyBH0KHpU7wI9ih5Fj6JH0aPoUfQoegw9hh7TR4UeQ4+hx9Bj6DH02P3/PQ=="`,
    );
  });

  test('that grew far beyond its frame can be read again; one that could not be is not compressed', () => {
    const grown = JSON.stringify([{ type: 'x', n: Array.from({ length: 7_000 }, () => 1e20) }]);
    expect(Buffer.byteLength(grown)).toBeGreaterThan(4 * FRAME_MAX_BYTES);
    expect(unpackEvents(packEvents(grown))).toBe(grown);
    const most = JSON.stringify('é'.repeat((SEGMENT_UNPACKED_MAX_BYTES - 2) / 2));
    expect(unpackEvents(packEvents(most))).toBe(most);
    const more = JSON.stringify('é'.repeat(SEGMENT_UNPACKED_MAX_BYTES / 2));
    expect(packEvents(more)).toBe(more);
    expect(unpackEvents(more)).toBe(more);
  });

  test('that is damaged is an error, never other events', () => {
    expect(() => unpackEvents(packEvents(turn).slice(0, -40))).toThrow();
  });
});
