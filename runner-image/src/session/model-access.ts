/** The model as the CLI sees it: a loopback broker that holds the key or plays the script, and a key worth nothing elsewhere. */
import { type Clock, type Random, sleep } from '../../../shared/clock.ts';
import type { RunnerCredentials } from '../../../shared/http.ts';
import { MODEL_PORT_RETRY_MS, MODEL_PORT_WAIT_MS } from '../../../shared/limits.ts';
import type { ModelAccess } from '../adapters/contract.ts';
import { startModelProxy } from '../brokers/model-proxy/model-proxy.ts';
import { startScriptedModel } from '../brokers/scripted-model/scripted-model.ts';
import { type CredentialsResult, keyKeeper } from './credentials.ts';

export interface ModelBroker {
  readonly access: ModelAccess | undefined;
  /** Scripted: whether every turn was played; `null` for a real model or none. */
  isScriptPlayed(): boolean | null;
  stop(): Promise<void>;
}

export interface ModelBrokerOptions {
  readonly credentials: RunnerCredentials;
  readonly refresh: () => Promise<CredentialsResult>;
  /** As the start asked for it. */
  readonly model: string;
  readonly workspace: string;
  readonly dummyKey: string;
  readonly clock: Clock;
  /** What the broker of a runner process before this one had: its CLI calls there. `null` takes any. */
  readonly port: number | null;
  readonly scriptTurnsDone: number;
  readonly onScriptTurn: (turnsDone: number) => void;
  /** New calls are turned away while this is true. */
  readonly isHeld: () => boolean;
}

export type ModelBrokerStart =
  | { readonly kind: 'started'; readonly broker: ModelBroker; readonly port: number | null }
  /** Somebody else listens there now. */
  | { readonly kind: 'port_taken'; readonly port: number };

const DUMMY_BYTES = 24;
/** Made before the stream is opened: it is one of the session's secrets. */
export const makeDummyKey = (random: Random): string => `sk-village-${random.hex(DUMMY_BYTES)}`;

const NO_MODEL: ModelBroker = { access: undefined, isScriptPlayed: () => null, stop: async () => {} };

export const startModelBroker = async (options: ModelBrokerOptions): Promise<ModelBrokerStart> => {
  const { port, clock } = options;
  const untilMs = clock.monotonicMs() + MODEL_PORT_WAIT_MS;
  for (;;) {
    try {
      const broker = await openBroker(options);
      const url = broker.access?.baseUrl;
      return { kind: 'started', broker, port: url === undefined ? null : Number(new URL(url).port) };
    } catch (error) {
      const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
      if (!isTaken || port === null) throw error;
      // An outgoing connection of anybody may sit on it for a moment.
      if (clock.monotonicMs() >= untilMs) return { kind: 'port_taken', port };
      await sleep(clock, MODEL_PORT_RETRY_MS);
    }
  }
};

const openBroker = async (options: ModelBrokerOptions): Promise<ModelBroker> => {
  const { credentials, dummyKey, workspace, clock, isHeld } = options;
  const { model } = credentials;
  const listen = options.port === null ? {} : { port: options.port };
  switch (model.kind) {
    case 'none':
      return NO_MODEL;
    case 'scripted': {
      const scripted = await startScriptedModel({
        ...{ scenario: model.scenario, workspace, key: dummyKey, clock, isHeld, ...listen },
        turnsDone: options.scriptTurnsDone,
        onTurnDone: options.onScriptTurn,
      });
      return {
        access: { baseUrl: scripted.url, dummyKey },
        isScriptPlayed: () => scripted.progress().exhausted,
        stop: scripted.stop,
      };
    }
    case 'anthropic': {
      const realKey = keyKeeper(credentials, options.refresh, clock);
      const proxy = await startModelProxy({ upstream: model.baseUrl, realKey, dummyKey, isHeld, ...listen });
      const modelName = options.model === 'default' ? {} : { modelName: options.model };
      return { access: { baseUrl: proxy.url, dummyKey, ...modelName }, isScriptPlayed: () => null, stop: proxy.stop };
    }
  }
};
