/** How a container of a Fargate task differs from podman's defaults, as arguments of `podman run`. */

export interface TaskLimits {
  /** More than it ends the container with 137, as on Fargate. */
  readonly memoryMb: number;
  readonly cpus: number;
  readonly pids: number;
  readonly openFiles: number;
}
export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly limits: TaskLimits;
  /** Names only: podman takes the values from its own environment, so that no token shows in a list of processes. */
  readonly envNames: readonly string[];
  /** Node as the first process reaps nobody's children but its own: ECS gives an init where the definition asks for it. */
  readonly withInit: boolean;
}

/** A task of the family has 1 vCPU and 2 GB. */
export const TASK_LIMITS: TaskLimits = { memoryMb: 2_048, cpus: 1, pids: 1_024, openFiles: 65_536 };

/** ENV names as POSIX has them; anything else could be read as `NAME=value`. */
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Read-only root (the image's volumes stay writable), no capability, no way to gain one, limits of memory without swap.
 * The network is the host's, so that a village on loopback is reached; Fargate's own is not imitated.
 */
export const runArguments = ({ name, image, limits, envNames, withInit }: ContainerSpec): string[] => {
  const bad = envNames.filter((variable) => !ENV_NAME.test(variable));
  if (bad.length > 0) throw new Error(`not a variable's name: ${bad.join(', ')}`);
  return [
    ...['run', '--rm', '--name', name, '--pull', 'never'],
    // It would need systemd's timers; ECS ignores the image's check as well.
    '--no-healthcheck',
    ...(withInit ? ['--init'] : []),
    ...['--read-only', '--cap-drop', 'all', '--security-opt', 'no-new-privileges', '--network', 'host'],
    ...['--memory', `${limits.memoryMb}m`, '--memory-swap', `${limits.memoryMb}m`],
    ...['--cpus', String(limits.cpus), '--pids-limit', String(limits.pids)],
    ...['--ulimit', `nofile=${limits.openFiles}:${limits.openFiles}`, '--ulimit', 'nproc=4096:4096'],
    ...envNames.flatMap((variable) => ['--env', variable]),
    image,
  ];
};

/** The hard limit of open files in the text of /proc/self/limits: a container cannot be given more than we have. */
export const hardOpenFiles = (procLimits: string): number => {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(procLimits)?.[1];
  return hard === undefined || hard === 'unlimited' ? TASK_LIMITS.openFiles : Number(hard);
};
