/** A store of images of our own, outside of the checkout: what the machine's other container tools keep stays untouched. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';

export const IMAGE = 'localhost/agent-village-runner:local';

export interface Storage {
  readonly dir: string;
  /** Environment for buildah and podman: what they need of ours, pointed at this store. */
  readonly env: NodeJS.ProcessEnv;
}

/**
 * VILLAGE_IMAGE_STORE, else below the user's ~/.cache; a relative value counts as unset. Not by HOME: a task of the local
 * platform has a HOME of its own, and must find the image that a person built.
 */
export const defaultStorageDir = (env: NodeJS.ProcessEnv = process.env): string =>
  env.VILLAGE_IMAGE_STORE?.startsWith('/')
    ? env.VILLAGE_IMAGE_STORE
    : join(userInfo().homedir, '.cache', 'agent-village', 'images');

/** `overlay` shares layers; `vfs` copies them and works where the file system below is an overlay itself. */
const storageConf = (dir: string, driver: string): string => `[storage]
driver = "${driver}"
graphroot = "${join(dir, `store-${driver}`)}"
runroot = "${join(dir, `run-${driver}`)}"
`;

/** Makes the folder (owner only) and its configuration; VILLAGE_IMAGE_DRIVER is `overlay` (default) or `vfs`. */
export const openStorage = (dir = defaultStorageDir(), env: NodeJS.ProcessEnv = process.env): Storage => {
  const driver = env.VILLAGE_IMAGE_DRIVER === 'vfs' ? 'vfs' : 'overlay';
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const conf = join(dir, `storage-${driver}.conf`);
  writeFileSync(conf, storageConf(dir, driver));
  // chroot: RUN needs no container runtime and reaches the network as we do.
  return { dir, env: { ...env, CONTAINERS_STORAGE_CONF: conf, BUILDAH_ISOLATION: 'chroot' } };
};

/** Arguments that go before podman's command: no systemd is needed, and its state lies with the store. */
export const podmanArguments = ({ dir }: Storage): string[] => [
  ...['--runtime', 'runc', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'],
  ...['--tmpdir', join(dir, 'podman')],
];
