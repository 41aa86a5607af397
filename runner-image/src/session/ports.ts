/** What a session needs of the world; main.ts fulfils it, tests put their own in place. */
import type { Clock, Random } from '../../../shared/clock.ts';
import type { ProviderId } from '../../../shared/providers.ts';
import type { Adapter } from '../adapters/contract.ts';
import type { GetObject } from '../checkpoint/fetch-checkpoint.ts';
import type { Log } from '../log.ts';
import type { PtyHost } from '../pty-host/client.ts';
import type { Disk } from '../transport/disk.ts';
import type { Urgency } from '../transport/fair-queue.ts';
import type { FetchCredentials } from './credentials.ts';
import type { PutFile, PutObject } from './uploads.ts';

export interface RuntimePorts {
  readonly clock: Clock;
  /** Milliseconds on a clock that goes on while the machine sleeps. */
  readonly bootMs: () => number;
  readonly random: Random;
  readonly log: Log;
  /** Private to the runner; the session's folders are made in it. */
  readonly stateDir: string;
  /** Journal and saved session; the real one where it is left out. */
  readonly disk?: Disk;
  readonly host: PtyHost;
  /** `false` while there is no connection. What watchers see is `bulk`; `first`, which may overtake it, unless told. */
  readonly send: (frame: string, urgency?: Urgency) => boolean;
  /** Live output of this session that waits for the line, measured against LINE_BUFFER_MAX_BYTES. */
  readonly bufferedBytes: () => number;
  readonly fetchCredentials: FetchCredentials;
  readonly put: PutObject;
  /** Of checkpoints, which are streamed; over HTTP where these are left out. */
  readonly putFile?: PutFile;
  readonly getObject?: GetObject;
  readonly adapters: Readonly<Record<ProviderId, Adapter>>;
  /** The part of the environment that git may see. */
  readonly gitEnvironment: Readonly<Record<string, string>>;
  /** PATH of the agent. */
  readonly agentPath: string;
  /** Repositories on this machine's disk: only where the control plane is on it too. */
  readonly allowsLocalRepositories: boolean;
  readonly isolation: 'own_uid' | 'shared_uid';
  /** Says hello again on the line that is up: what it says of the session has changed. */
  readonly sayHello?: () => void;
  /** Called with each usage tick: leases on folders are renewed. */
  readonly onTick: () => void;
}
