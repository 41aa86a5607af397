/** Every metric's name and unit. Tenant and session ids are never dimensions: they would make a series each. */
export const METRICS = {
  sessionsStarted: { name: 'SessionsStarted', unit: 'Count' },
  sessionsReaped: { name: 'SessionsReaped', unit: 'Count' },
  reapsFailed: { name: 'ReapsFailed', unit: 'Count' },
  sessionsContinued: { name: 'SessionsContinued', unit: 'Count' },
  continuesFailed: { name: 'ContinuesFailed', unit: 'Count' },
  orphanTasksStopped: { name: 'OrphanTasksStopped', unit: 'Count' },
  reconcilesFailed: { name: 'ReconcilesFailed', unit: 'Count' },
  warmTasksLaunched: { name: 'WarmTasksLaunched', unit: 'Count' },
  warmTasksFailed: { name: 'WarmTasksFailed', unit: 'Count' },
  sessionsArchived: { name: 'SessionsArchived', unit: 'Count' },
  archivesFailed: { name: 'ArchivesFailed', unit: 'Count' },
  batchesCommitted: { name: 'BatchesCommitted', unit: 'Count' },
  batchesRefused: { name: 'BatchesRefused', unit: 'Count' },
  framesRefused: { name: 'FramesRefused', unit: 'Count' },
  requestsFailed: { name: 'RequestsFailed', unit: 'Count' },
  // Logged by a runner with METRICS_ENABLED at each usage tick: bytes of the session, the others since its process started.
  runnerBatchesAcked: { name: 'RunnerBatchesAcked', unit: 'Count' },
  runnerTerminalBytes: { name: 'RunnerTerminalBytes', unit: 'Bytes' },
  runnerReconnects: { name: 'RunnerReconnects', unit: 'Count' },
} as const satisfies Record<string, { name: string; unit: 'Count' | 'Milliseconds' | 'Bytes' }>;
export type MetricName = keyof typeof METRICS;
export const METRIC_NAMESPACE = 'AgentVillage';
