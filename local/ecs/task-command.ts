/** What a task is on this machine: the checkout's own sources as a process, or an image in podman where its definition names one. */
import type { LaunchSpec, TaskCommand } from './process-launcher.ts';
import { TASK_MARK_VARIABLE } from './process-sweep.ts';

/** Image of a task definition that means the sources of this checkout. */
export const NO_IMAGE = 'local';

/**
 * Both run in the foreground, end on SIGTERM and die with their stdin, so the launcher needs not know which it is. The
 * container gets the task's variables by name (no token in a list of processes) and its mark: its processes are found
 * and killed like any other's.
 * @param node the Node that runs both
 * @param imageStore where the image was built, when not in the default place (`npm run image`)
 */
export const taskCommand =
  (node: string, imageStore?: string) =>
  ({ image, environment }: LaunchSpec): TaskCommand => {
    if (image === undefined || image === NO_IMAGE) return [node, 'runner-image/src/pty-host/main.ts'];
    const names = [...Object.keys(environment), TASK_MARK_VARIABLE];
    return [
      ...([node, 'runner-image/build/run-image.ts', '--image', image] as const),
      ...(imageStore === undefined ? [] : ['--store', imageStore]),
      ...names.flatMap((name) => ['--env', name]),
    ];
  };
