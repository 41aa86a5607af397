/** The scripted model's scenario file: what a demo, a test or the lab makes a real CLI do. The format is stable for scripts. */
import { z } from 'zod';
import { SCENARIO_MAX_STEPS, SCENARIO_MAX_TURNS } from './limits.ts';

/** A path relative to the workspace: no root, no parent, no NUL. */
export const WorkspacePath = z
  .string()
  .min(1)
  .max(1_024)
  .refine(
    (path) => !path.startsWith('/') && !path.includes('\0') && !path.split('/').includes('..'),
    'must be relative to the workspace, without ..',
  );

export const ScenarioStep = z.union([
  z.strictObject({ say: z.string() }),
  z.strictObject({ write: z.strictObject({ path: WorkspacePath, content: z.string() }) }),
  z.strictObject({ run: z.string().min(1) }),
  z.strictObject({ waitMs: z.int().min(0).max(600_000) }),
]);
export type ScenarioStep = z.infer<typeof ScenarioStep>;

export const Scenario = z.strictObject({
  turns: z.array(z.strictObject({ steps: z.array(ScenarioStep).max(SCENARIO_MAX_STEPS) })).max(SCENARIO_MAX_TURNS),
});
export type Scenario = z.infer<typeof Scenario>;
