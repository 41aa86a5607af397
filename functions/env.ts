/** Environment of the control plane, parsed once. The platform gives physical names; infra/topology.ts says which there are. */
import { z } from 'zod';
import { WARM_POOL_MAX } from '../shared/limits.ts';

const list = z.string().transform((value) => value.split(',').filter((part) => part !== ''));
const table = z.string().min(3);

export const ControlPlaneEnv = z.object({
  TABLE_TENANTS: table,
  TABLE_SESSIONS: table,
  TABLE_EVENTS: table,
  TABLE_CONNECTIONS: table,
  TABLE_USAGE: table,
  TABLE_RELEASES: table,
  TABLE_RUNNERS: table,
  BUCKET_TRANSCRIPTS: z.string().min(1),
  SECRET_SIGNING_KEY: z.string().min(1),
  SECRET_ORIGIN_SECRET: z.string().min(1),
  SECRET_MODEL_KEYS: z.string().min(1),
  CLUSTER: z.string().min(1),
  TASK_CONTAINER: z.string().min(1),
  TASK_SUBNETS: list,
  TASK_SECURITY_GROUPS: list,
  /** The one origin in front of page, API and WebSockets. */
  PUBLIC_URL: z.url(),
  ALLOWED_ORIGINS: list,
  /** Off where no CloudFront stands in front (one machine). */
  REQUIRE_ORIGIN_SECRET: z.stringbool().default(true),
  MANAGEMENT_ENDPOINT_VIEWER: z.url(),
  MANAGEMENT_ENDPOINT_RUNNER: z.url(),
  /** The tenant whose command line may register builds for the platform; nobody's where it is not set. */
  OPERATOR_TENANT: z.string().optional(),
  VILLAGE_VERSION: z.string().default('0.0.0'),
  /** Idle tasks kept for each build that a start without a named one gets; none by default. */
  WARM_POOL_SIZE: z.coerce.number().int().min(0).max(WARM_POOL_MAX).default(0),
  /** Named in the command that runs a customer's runner as a container. */
  RUNNER_IMAGE: z.string().min(1).default('localhost/agent-village-runner:local'),
  /** Release pipeline: parsed now, used when it is built. */
  VERSION_CHECK_INTERVAL_MS: z.coerce.number().int().min(60_000).default(3_600_000),
  CANARY_ENABLED: z.stringbool().default(false),
  ROLLOUT_PERCENTAGE: z.coerce.number().min(0).max(100).default(1),
});
export type ControlPlaneEnv = z.infer<typeof ControlPlaneEnv>;

/** @throws Error naming each variable that does not fit */
export const parseEnv = (env: Readonly<Record<string, string | undefined>>): ControlPlaneEnv => {
  const parsed = ControlPlaneEnv.safeParse(env);
  if (parsed.success) return parsed.data;
  throw new Error(
    `environment does not fit: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`,
  );
};
