/** The model as the CLI sees it: a loopback broker that holds the key or plays the script, and a key worth nothing elsewhere. */
import type { Clock, Random } from '../../../shared/clock.ts';
import type { RunnerCredentials } from '../../../shared/http.ts';
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
}

const DUMMY_BYTES = 24;
/** Made before the stream is opened: it is one of the session's secrets. */
export const makeDummyKey = (random: Random): string => `sk-village-${random.hex(DUMMY_BYTES)}`;

const NO_MODEL: ModelBroker = { access: undefined, isScriptPlayed: () => null, stop: async () => {} };

export const startModelBroker = async (options: ModelBrokerOptions): Promise<ModelBroker> => {
  const { credentials, dummyKey, workspace, clock } = options;
  const { model } = credentials;
  switch (model.kind) {
    case 'none':
      return NO_MODEL;
    case 'scripted': {
      const scripted = await startScriptedModel({ scenario: model.scenario, workspace, key: dummyKey, clock });
      return {
        access: { baseUrl: scripted.url, dummyKey },
        isScriptPlayed: () => scripted.progress().exhausted,
        stop: scripted.stop,
      };
    }
    case 'anthropic': {
      const realKey = keyKeeper(credentials, options.refresh, clock);
      const proxy = await startModelProxy({ upstream: model.baseUrl, realKey, dummyKey });
      const modelName = options.model === 'default' ? {} : { modelName: options.model };
      return { access: { baseUrl: proxy.url, dummyKey, ...modelName }, isScriptPlayed: () => null, stop: proxy.stop };
    }
  }
};
