/** Public prices, us-east-1, on demand, in US dollars; what no price list says is an assumption and stands apart. */
export const PRICES = {
  asOf: '2026-11',
  /** Each begun 32 KiB of a WebSocket message, either way; a post is one too. */
  webSocketPerMillion: 1,
  connectionMinutesPerMillion: 0.25,
  httpApiPerMillion: 1,
  lambdaPerMillion: 0.2,
  lambdaArm64PerGbSecond: 0.0000133334,
  /** Each begun KiB; a transaction counts twice, an index entry once. */
  dynamoWritesPerMillion: 0.625,
  /** Each begun 4 KiB, strongly consistent. */
  dynamoReadsPerMillion: 0.125,
  s3PutsPerMillion: 5,
  s3GetsPerMillion: 0.4,
  logsPerGb: 0.5,
  tracesPerMillion: 5,
  fargateArm64VcpuHour: 0.03238,
  fargateArm64GbHour: 0.00356,
} as const;

/** The task a session runs in. */
export const TASK = { vcpu: 1, memoryGb: 2 } as const;

export const ASSUMED = {
  /** Of a warm function beside its calls, and of each call it waits for, one after the other. */
  lambdaBaseMs: 2,
  lambdaCallMs: 6,
  /** One metric record of a batch that was committed; the platform's own lines are off below warnings (infra/). */
  logBytesPerBatch: 450,
  /** X-Ray's default rule. */
  tracedShare: 0.05,
  /** Functions on a schedule serve a whole cell. */
  sessionsPerCell: 5_000,
} as const;
