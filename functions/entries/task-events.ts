/** ECS task state changes. */
import { platform } from '../aws/platform.ts';
import { observed } from '../middleware/observe.ts';
import { TaskStateChange, taskStateChanged } from '../sessions/task-stopped.ts';

export const handler = observed(async (event: unknown) => ({
  outcome: await taskStateChanged(platform(), TaskStateChange.parse(event)),
}));
