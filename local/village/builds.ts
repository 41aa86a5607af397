/** Builds of the local platform: a folder of pinned CLIs, a task-definition revision that names it, an entry in the control plane. */
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DescribeTaskDefinitionCommand, type ECSClient, RegisterTaskDefinitionCommand } from '@aws-sdk/client-ecs';
import type { z } from 'zod';
import { TASK_FAMILY } from '../../infra/topology.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import { BuildList, type RegisterBuildBody } from '../../shared/http.ts';
import { ProviderId } from '../../shared/providers.ts';
import { Build } from '../../shared/releases.ts';
import { type InstallFailure, installCli } from '../builds/install-cli.ts';
import { NO_IMAGE } from '../ecs/task-command.ts';

export const SHELL_BUILD_SPEC = 'shell@system';

export type AddBuildResult =
  | { readonly kind: 'added'; readonly build: Build }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };

export interface BuildsOptions {
  /** Each build gets `<dir>/<buildId>/<provider>`, a link into the cache of CLIs. */
  readonly dir: string;
  /** WORKSPACE_ROOT of tasks. */
  readonly workspaceRoot: string;
  readonly runnerVersion: string;
  /** Image of the runner that tasks run in podman, with the CLIs inside; the sources of this checkout when absent. */
  readonly image?: string;
  readonly ecs: ECSClient;
  /** Calls the control plane as the local user; throws on a non-2xx answer. */
  readonly api: (method: 'GET' | 'POST', path: string, body?: unknown) => Promise<unknown>;
  readonly install?: typeof installCli;
}

interface InstalledCli {
  readonly provider: ProviderId;
  readonly binPath: string;
}

const ERROR_OF: Readonly<Record<InstallFailure, ErrorCode>> = {
  unknown_cli: 'invalid_request',
  unknown_version: 'not_found',
  no_network: 'upstream_failed',
  npm_missing: 'unavailable',
  not_runnable: 'build_unavailable',
  timeout: 'upstream_failed',
  npm_failed: 'upstream_failed',
};
/** The runner finds a CLI through these, or in VILLAGE_BUILD_DIR. */
const PATH_VARIABLE: Partial<Readonly<Record<ProviderId, string>>> = {
  claude_code: 'CLAUDE_CODE_PATH',
  codex: 'CODEX_PATH',
  gemini_cli: 'GEMINI_PATH',
};

/** `claude_code@2.1.330` → `claude_code-2.1.330`. */
export const buildIdOf = (spec: string): string => spec.toLowerCase().replaceAll('@', '-').replaceAll(',', '+');

/** Replaces the link in one step: a session that starts meanwhile finds the old one or the new one. */
const link = (target: string, path: string): void => {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(`${path}.new`, { force: true });
  symlinkSync(target, `${path}.new`);
  renameSync(`${path}.new`, path);
};

/** The folder of a CLI: its program is `<folder>/node_modules/.bin/<bin>`. */
const folderOf = (binPath: string): string => dirname(dirname(dirname(binPath)));

export class Builds {
  readonly #options: BuildsOptions;
  /** One registration at a time: two would race for the newest revision. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: BuildsOptions) {
    this.#options = options;
  }

  /** Installs what is missing and registers the build; repeating it registers a revision only where something changed. */
  add(spec: string, onProgress: (line: string) => void): Promise<AddBuildResult> {
    const added = this.#last.then(() => this.#add(spec, onProgress));
    // The next one waits for the end only; a failure belongs to whoever asked.
    this.#last = added.catch(() => {});
    return added;
  }

  /** Makes every build of the control plane run here: after the data directory or the checkout moved, too. */
  async refresh(onProgress: (line: string) => void): Promise<AddBuildResult[]> {
    const { builds } = BuildList.parse(await this.#options.api('GET', '/api/builds'));
    const specs = builds.filter(({ status }) => status === 'ready').map(specOf);
    const results: AddBuildResult[] = [];
    for (const spec of new Set([SHELL_BUILD_SPEC, ...specs])) results.push(await this.add(spec, onProgress));
    return results;
  }

  async #add(spec: string, onProgress: (line: string) => void): Promise<AddBuildResult> {
    const clis: InstalledCli[] = [];
    for (const part of spec.split(',')) {
      const [name, version = ''] = part.split('@');
      const provider = ProviderId.safeParse(name);
      if (!provider.success)
        return { kind: 'failed', code: 'invalid_request', message: `"${part}" names no provider we know.` };
      if (this.#options.image !== undefined) continue;
      const install = this.#options.install ?? installCli;
      const installed = await install({ provider: provider.data, version, onProgress });
      if (installed.kind === 'failed')
        return { kind: 'failed', code: ERROR_OF[installed.code], message: installed.message };
      clis.push({ provider: provider.data, binPath: installed.binPath });
    }
    return { kind: 'added', build: await this.#register(spec, clis) };
  }

  async #register(spec: string, clis: readonly InstalledCli[]): Promise<Build> {
    const buildId = buildIdOf(spec);
    const dir = join(this.#options.dir, buildId);
    mkdirSync(dir, { recursive: true, mode: 0o755 });
    for (const { provider, binPath } of clis) if (provider !== 'shell') link(folderOf(binPath), join(dir, provider));
    const environment = this.#environment(buildId, dir, clis);
    const { builds } = BuildList.parse(await this.#options.api('GET', '/api/builds'));
    const known = builds.find((build) => build.buildId === buildId);
    if (known?.status === 'ready' && (await this.#isCurrent(known.taskDefinitionArn, environment))) return known;
    const body: z.infer<typeof RegisterBuildBody> = {
      buildId,
      spec,
      taskDefinitionArn: await this.#registerDefinition(environment),
      runnerVersion: this.#options.runnerVersion,
    };
    return Build.parse(await this.#options.api('POST', '/api/builds', body));
  }

  #environment(buildId: string, dir: string, clis: readonly InstalledCli[]): Record<string, string> {
    // An image knows its own folders; ours mean nothing in there.
    if (this.#options.image !== undefined) return { ...TASK_FAMILY.environment, VILLAGE_BUILD_ID: buildId };
    const paths = clis.flatMap(({ provider, binPath }) => {
      const variable = PATH_VARIABLE[provider];
      return variable === undefined ? [] : [[variable, binPath] as const];
    });
    return {
      ...TASK_FAMILY.environment,
      WORKSPACE_ROOT: this.#options.workspaceRoot,
      RUNNER_VERSION: this.#options.runnerVersion,
      VILLAGE_BUILD_ID: buildId,
      VILLAGE_BUILD_DIR: dir,
      ...Object.fromEntries(paths),
    };
  }

  get #image(): string {
    return this.#options.image ?? NO_IMAGE;
  }

  async #isCurrent(taskDefinitionArn: string, environment: Readonly<Record<string, string>>): Promise<boolean> {
    try {
      const { taskDefinition } = await this.#options.ecs.send(
        new DescribeTaskDefinitionCommand({ taskDefinition: taskDefinitionArn }),
      );
      const [container] = taskDefinition?.containerDefinitions ?? [];
      const pairs = container?.environment ?? [];
      return (
        taskDefinition?.status === 'ACTIVE' &&
        container?.image === this.#image &&
        pairs.length === Object.keys(environment).length &&
        pairs.every(({ name, value }) => name !== undefined && environment[name] === value)
      );
    } catch (error) {
      // The definitions were deleted while the database stayed: a new revision heals it.
      if (error instanceof Error && error.name === 'ClientException') return false;
      throw error;
    }
  }

  async #registerDefinition(environment: Readonly<Record<string, string>>): Promise<string> {
    const { family, container, cpuUnits, memoryMb, stopTimeoutSec } = TASK_FAMILY;
    const { taskDefinition } = await this.#options.ecs.send(
      new RegisterTaskDefinitionCommand({
        family,
        cpu: String(cpuUnits),
        memory: String(memoryMb),
        requiresCompatibilities: ['FARGATE'],
        networkMode: 'awsvpc',
        containerDefinitions: [
          {
            name: container,
            image: this.#image,
            stopTimeout: stopTimeoutSec,
            environment: Object.entries(environment).map(([name, value]) => ({ name, value })),
          },
        ],
      }),
    );
    if (taskDefinition?.taskDefinitionArn === undefined) throw new Error('ECS answered no task definition');
    return taskDefinition.taskDefinitionArn;
  }
}

/** `provider@version` pairs of a registered build, as its spec was. */
export const specOf = (build: Build): string =>
  Object.entries(build.clis)
    .map(([provider, version]) => `${provider}@${version}`)
    .join(',');
