/** Versions seen upstream, builds made of them, and rollouts that bring a build to sessions. */
import { z } from 'zod';
import { BuildId } from './ids.ts';
import { ProviderId } from './providers.ts';

export const CliVersion = z.string().regex(/^[0-9A-Za-z][0-9A-Za-z.+-]{0,60}$/);

/** `claude_code@2.1.330`; several joined by `,` make one build. */
export const BuildSpec = z
  .string()
  .max(300)
  .regex(
    /^[a-z_]+@[0-9A-Za-z.+-]+(,[a-z_]+@[0-9A-Za-z.+-]+)*$/,
    'expected provider@version, for example claude_code@2.1.330',
  );

export const Version = z.strictObject({
  provider: ProviderId,
  version: CliVersion,
  seenAt: z.iso.datetime(),
  source: z.string().max(200),
});
export type Version = z.infer<typeof Version>;

export const BuildStatus = z.enum(['registering', 'ready', 'broken', 'retired']);
export const Build = z.strictObject({
  buildId: BuildId,
  clis: z.partialRecord(ProviderId, CliVersion),
  runnerVersion: z.string().max(80),
  taskDefinitionArn: z.string(),
  status: BuildStatus,
  createdAt: z.iso.datetime(),
});
export type Build = z.infer<typeof Build>;

export const Channel = z.enum(['stable', 'beta', 'pinned']);
export const RolloutState = z.enum([
  'created',
  'lab',
  'running',
  'held',
  'paused',
  'completed',
  'rolled_back',
  'aborted',
]);
export const Rollout = z.strictObject({
  rolloutId: z.string().max(80),
  channel: Channel,
  fromBuildId: BuildId,
  toBuildId: BuildId,
  state: RolloutState,
  /** Stages in basis points of sessions: 1 % is 100. */
  stagesBasisPoints: z.array(z.int().min(0).max(10_000)).default([100, 1_000, 10_000]),
  stage: z.int().min(0),
  cohortSalt: z.string(),
  reason: z.string().max(500).nullable(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
});
export type Rollout = z.infer<typeof Rollout>;
