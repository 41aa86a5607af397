/** The secrets of the local platform in one private file, replaced whole by rename: a crash leaves the old or the new, never half. */
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';

/** Versions kept of one secret; the oldest without a stage goes first. */
export const VERSIONS_MAX = 10;
/** Secrets in the file; the next one is refused. */
export const SECRETS_MAX = 500;

const Version = z.strictObject({
  id: z.string(),
  /** Exactly one of the two; binary is base64. */
  text: z.string().optional(),
  binary: z.string().optional(),
  stages: z.array(z.string()),
  createdAtMs: z.number(),
});
const Secret = z.strictObject({
  name: z.string(),
  arn: z.string(),
  createdAtMs: z.number(),
  versions: z.array(Version),
});
const SecretFile = z.strictObject({ version: z.literal(1), secrets: z.array(Secret) });

export type SecretVersion = z.infer<typeof Version>;
export type Secret = z.infer<typeof Secret>;

export const CURRENT = 'AWSCURRENT';
export const PREVIOUS = 'AWSPREVIOUS';

/** `secret` with `version` as AWSCURRENT; what was current becomes AWSPREVIOUS (Secrets Manager's default stages). */
export function withCurrent(secret: Secret, version: Omit<SecretVersion, 'stages'>): Secret {
  const older = secret.versions.map((each) => {
    const kept = each.stages.filter((stage) => stage !== CURRENT && stage !== PREVIOUS);
    return { ...each, stages: each.stages.includes(CURRENT) ? [...kept, PREVIOUS] : kept };
  });
  const versions = [...older, { ...version, stages: [CURRENT] }];
  const surplus = versions
    .filter((each) => each.stages.length === 0)
    .slice(0, Math.max(0, versions.length - VERSIONS_MAX));
  return { ...secret, versions: versions.filter((each) => !surplus.includes(each)) };
}

async function readSecrets(file: string): Promise<Secret[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return [];
  await chmod(file, 0o600);
  return SecretFile.parse(JSON.parse(text)).secrets;
}

async function writeSecrets(file: string, secrets: readonly Secret[]): Promise<void> {
  const temporary = `${file}.${randomUUID()}`;
  try {
    {
      await using handle = await open(temporary, 'wx', 0o600);
      await handle.writeFile(`${JSON.stringify({ version: 1, secrets }, null, 2)}\n`);
      await handle.datasync();
    }
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
}

export class SecretStore {
  readonly #file: string;
  #secrets: readonly Secret[];
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(file: string, secrets: readonly Secret[]) {
    this.#file = file;
    this.#secrets = secrets;
  }

  /** Reads the file (made later when absent); throws when it is there but does not fit: secrets are never silently started over. */
  static async open(file: string): Promise<SecretStore> {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    return new SecretStore(file, await readSecrets(file));
  }

  /** By name or ARN. */
  find(id: string): Secret | undefined {
    return this.#secrets.find((secret) => secret.name === id || secret.arn === id);
  }

  /**
   * Runs `change` with nobody else writing and stores the secret it returns, on disk first, then in memory; undefined stores nothing.
   * What `change` throws comes back unchanged.
   */
  update<T>(change: () => { store: Secret | undefined; result: T }): Promise<T> {
    const run = async (): Promise<T> => {
      const { store, result } = change();
      if (store === undefined) return result;
      const next = [...this.#secrets.filter((secret) => secret.name !== store.name), store];
      await writeSecrets(this.#file, next);
      this.#secrets = next;
      return result;
    };
    const turn = this.#writing.then(run);
    // The failure belongs to its own caller; the next writer starts from what is stored.
    this.#writing = turn.catch(() => undefined);
    return turn;
  }

  get size(): number {
    return this.#secrets.length;
  }
}
