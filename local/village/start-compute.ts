/** What runs code in the village: functions, tasks, and the events between them. */
import { EVENT_RULES, FUNCTIONS } from '../../infra/topology.ts';
import { EcsError } from '../ecs/ecs-error.ts';
import { processLauncher } from '../ecs/process-launcher.ts';
import { startEcs } from '../ecs/server.ts';
import { taskCommand } from '../ecs/task-command.ts';
import { createEventBus } from '../events/event-bus.ts';
import { entryLoader } from '../lambda/entry-loader.ts';
import { ACCOUNT_ID, REGION } from '../lambda/identity.ts';
import { createLambda } from '../lambda/lambda.ts';
import type { Lambda } from '../lambda/types.ts';
import { CLUSTER } from './handler-environment.ts';
import { removeLeftWorkspaces } from './left-workspaces.ts';
import type { Parts } from './parts.ts';
import { ROOT, taskPath } from './paths.ts';

export const startLambda = ({ series, clock, random, chaos, log }: Parts) =>
  series.step(
    'functions',
    async () => {
      const load = entryLoader(ROOT);
      // Loaded ahead: a broken entry shows at the start, and no first request waits for it.
      await Promise.all(FUNCTIONS.map(({ entry }) => load(entry)));
      return createLambda({ functions: FUNCTIONS, load, clock, random, chaos, log });
    },
    (lambda) => lambda.stop(),
  );

/** ECS, and the bus that carries its events; the bus is opened by the caller once handlers can run. */
export const startTasks = async (parts: Parts, lambda: Lambda) => {
  const { series, paths, credentials, clock, chaos, env, warn } = parts;
  const bus = await series.step(
    'event bus',
    () =>
      createEventBus({
        rules: EVENT_RULES,
        invoke: (name, event) => lambda.invokeAsync(name, event, { source: 'event' }),
        clock,
        warn,
      }),
    (running) => running.stop(),
  );
  const launcher = processLauncher({
    command: taskCommand(process.execPath, env.VILLAGE_IMAGE_STORE),
    cwd: ROOT,
    path: taskPath(env),
    dir: paths.tasks,
    clock,
  });
  const sweep = (): Promise<void> => removeLeftWorkspaces(paths.runner, clock.nowMs(), warn);
  // Started before the tasks, so stopped after them.
  await series.step('workspaces', () => {}, sweep);
  const ecs = await series.step(
    'tasks',
    () =>
      startEcs({
        dir: paths.ecs,
        region: REGION,
        credentials,
        account: ACCOUNT_ID,
        cluster: CLUSTER,
        launcher,
        emit: (event) => bus.put(event),
        refuse: (operation) =>
          chaos.strikes('throttle', `ecs/${operation}`)
            ? new EcsError('ThrottlingException', 'Rate exceeded')
            : undefined,
        warn,
      }),
    (running) => running.stop(),
  );
  // After the tasks of an earlier life were ended, and before the first of this one.
  await series.step('left workspaces', sweep);
  return { bus, ecs };
};
