import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { batchDigestInput } from '../../../shared/batch.ts';
import { ControlToRunnerFrame, ControlToViewerFrame, RunnerFrame, ViewerFrame } from '../../../shared/frames.ts';
import { FRAME_MAX_BYTES } from '../../../shared/limits.ts';
import { fixture, fixtureNames, sizeBytes } from './fixtures.ts';

interface FrameSchema extends z.ZodType {
  readonly options: readonly { readonly shape: { readonly type: z.ZodLiteral<string> } }[];
}
const DIRECTIONS: readonly (readonly [string, FrameSchema])[] = [
  ['runner-to-control', RunnerFrame],
  ['control-to-runner', ControlToRunnerFrame],
  ['viewer-to-control', ViewerFrame],
  ['control-to-viewer', ControlToViewerFrame],
];
const typesOf = (schema: FrameSchema) => schema.options.map((option) => option.shape.type.value);

describe.each(DIRECTIONS)('frames %s', (direction, schema) => {
  const folder = `frames/${direction}`;

  test('one example of each type', () => {
    expect(fixtureNames(folder)).toEqual(typesOf(schema).sort());
  });

  test.each(typesOf(schema))('%s parses, comes back byte for byte, and fits', (type) => {
    const frame = fixture(folder, type);
    expect(frame.type).toBe(type);
    expect(JSON.stringify(schema.parse(frame))).toBe(JSON.stringify(frame));
    expect(sizeBytes(frame)).toBeLessThanOrEqual(FRAME_MAX_BYTES);
  });

  test.each(typesOf(schema))('%s refuses a field it does not know, and another type', (type) => {
    const frame = fixture(folder, type);
    expect(schema.safeParse({ ...frame, surprise: 1 }).success).toBe(false);
    expect(schema.safeParse({ ...frame, type: 'nothing' }).success).toBe(false);
  });
});

describe('what a frame must not carry', () => {
  test.each(['terminal_output', 'terminal_snapshot', 'head', 'input_ack', 'input_reset'])(
    'a viewer is never sent the capability in %s',
    (type) => {
      const frame = fixture('frames/runner-to-control', type);
      expect(frame.capability).toBeTypeOf('string');
      expect(ControlToViewerFrame.safeParse(frame).success).toBe(false);
    },
  );

  test('a viewer cannot say who decided, or when', () => {
    const frame = fixture('frames/viewer-to-control', 'approval_decision');
    const decision = fixture('frames/control-to-runner', 'approval_decision').decision;
    expect(ViewerFrame.safeParse({ ...frame, decision }).success).toBe(false);
  });
});

test('the recorded batch carries the digest of its events', () => {
  const batch = RunnerFrame.parse(fixture('frames/runner-to-control', 'runner_events'));
  if (batch.type !== 'runner_events') throw new Error('not a batch');
  expect(createHash('sha256').update(batchDigestInput(batch)).digest('hex')).toBe(batch.digest);
});
