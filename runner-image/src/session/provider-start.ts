/** From a workspace to a CLI that takes prompts: program found, broker up, gate proven; or the reason with the last screen. */
import { mkdir } from 'node:fs/promises';
import { BOOT_LIMITS_MS } from '../../../shared/limits.ts';
import type { SessionConfig, StateReason } from '../../../shared/session.ts';
import type { Adapter, AdapterPorts, ProviderSession, SavedProvider, StartConfig } from '../adapters/contract.ts';
import type { RunnerConfig } from '../config.ts';
import { screenField, timeoutReason, within } from './boot-limit.ts';
import { cliCandidates, findCli } from './cli-files.ts';
import type { ModelBroker } from './model-access.ts';

export interface ProviderStartOptions {
  readonly adapter: Adapter;
  readonly session: SessionConfig;
  readonly config: RunnerConfig;
  /** Real path of the folder the agent works in. */
  readonly workspace: string;
  readonly privateDir: string;
  readonly agentPath: string;
  readonly broker: ModelBroker;
  /** UUID of this life of the CLI, or of the conversation it goes on with. */
  readonly cliInstanceId: string;
  readonly before?: StartConfig['before'];
  readonly ports: AdapterPorts;
}

export type ProviderStart =
  | { readonly kind: 'started'; readonly session: ProviderSession; readonly cliVersion: string }
  | { readonly kind: 'failed'; readonly reason: StateReason };

const failed = (reason: Omit<StateReason, 'step'>): ProviderStart => ({
  kind: 'failed',
  reason: { ...reason, step: 'starting_provider' },
});

/** Finds and starts the CLI; `awaitReady` says when it takes prompts. */
export const startProvider = async (options: ProviderStartOptions): Promise<ProviderStart> => {
  const { adapter, session, config, ports, broker } = options;
  const file = await findCli(session.provider, config);
  if (file === null) {
    const looked = cliCandidates(session.provider, config).length > 0;
    return failed({
      code: 'cli_missing',
      message: `The build ${session.buildId} has no program for ${session.provider}.`,
      hint: looked ? 'Add it to a build and start on that build.' : 'This runner has no build: start it with one.',
    });
  }
  const found = await adapter.detect(file);
  if (found.kind === 'missing') return failed({ code: 'cli_missing', message: found.reason, hint: found.hint });
  await mkdir(options.privateDir, { recursive: true, mode: 0o700 });
  const start: StartConfig = {
    file,
    cliVersion: found.version,
    workspace: options.workspace,
    privateDir: options.privateDir,
    path: options.agentPath,
    cliInstanceId: options.cliInstanceId,
    ...(options.before === undefined ? {} : { before: options.before }),
    ...(broker.access === undefined ? {} : { model: broker.access }),
  };
  const limited = await within(ports.clock, BOOT_LIMITS_MS.starting_provider, adapter.startSession(start, ports));
  if (limited.kind === 'timeout')
    return { kind: 'failed', reason: timeoutReason('starting_provider', undefined, ports.screenText()) };
  if (limited.value.kind === 'refused')
    return failed({ code: 'provider_refused', message: limited.value.reason, hint: limited.value.hint });
  return { kind: 'started', session: limited.value.session, cliVersion: found.version };
};

export interface ProviderAdoptOptions extends Omit<ProviderStartOptions, 'session' | 'config'> {
  readonly cliVersion: string;
  readonly saved: SavedProvider;
}

/** Goes on with the CLI that a runner process before this one started. */
export const adoptProvider = async (options: ProviderAdoptOptions): Promise<ProviderStart> => {
  const { adapter, ports, broker, cliVersion } = options;
  const { workspace, privateDir, agentPath: path, cliInstanceId } = options;
  const config: StartConfig = {
    // It runs: nobody starts it again from here.
    file: '',
    ...{ cliVersion, workspace, privateDir, path, cliInstanceId },
    ...(broker.access === undefined ? {} : { model: broker.access }),
  };
  const adopted = await adapter.adoptSession(config, options.saved, ports);
  if (adopted.kind === 'started') return { kind: 'started', session: adopted.session, cliVersion };
  const { reason: message, hint } = adopted;
  return { kind: 'failed', reason: { code: 'runner_restarted', message, hint } };
};

/** `null` once the CLI takes prompts. */
export const awaitReady = async (
  session: ProviderSession,
  ports: Pick<AdapterPorts, 'clock' | 'screenText'>,
): Promise<StateReason | null> => {
  const limitMs = BOOT_LIMITS_MS.starting_provider + BOOT_LIMITS_MS.proving_gate;
  const limited = await within(ports.clock, limitMs, session.ready);
  if (limited.kind === 'timeout') return timeoutReason('proving_gate', limitMs, ports.screenText());
  const readiness = limited.value;
  switch (readiness.kind) {
    case 'ready':
      return null;
    case 'gate_unproven':
      return {
        code: 'gate_unproven',
        message: `The approval gate could not be proven: ${readiness.reason}`.slice(0, 2_000),
        hint: 'The last screen may say why. A session without a proven gate accepts no prompt.',
        step: 'proving_gate',
        ...screenField(readiness.lastScreen),
      };
    case 'exited':
      return {
        code: 'provider_exited',
        message: `The CLI ended at its start with code ${readiness.exitCode ?? 'unknown'}.`,
        hint: 'The last screen may say why; check the build and the model access.',
        step: 'starting_provider',
        ...screenField(readiness.lastScreen),
      };
  }
};
