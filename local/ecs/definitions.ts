/** Task definitions: families of immutable revisions that survive a restart; a deregistered one stays describable. */
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { EcsError } from './ecs-error.ts';
import { DEFINITIONS_MAX } from './ecs-limits.ts';
import { type JsonFile, jsonFile } from './json-file.ts';
import { page } from './paging.ts';
import { type ListTaskDefinitions, RegisterTaskDefinition } from './requests.ts';

const TaskDefinition = RegisterTaskDefinition.extend({
  taskDefinitionArn: z.string(),
  revision: z.int().min(1),
  status: z.enum(['ACTIVE', 'INACTIVE']),
  /** Seconds since 1970, as JSON 1.1 carries times. */
  registeredAt: z.number(),
  deregisteredAt: z.number().optional(),
});
export type TaskDefinition = z.infer<typeof TaskDefinition>;
const Stored = z.array(TaskDefinition);

export interface Definitions {
  register(request: RegisterTaskDefinition): Promise<TaskDefinition>;
  /** By `family` (latest active), `family:revision` or ARN. Throws ClientException. */
  find(name: string): TaskDefinition;
  deregister(name: string): Promise<TaskDefinition>;
  list(request: z.infer<typeof ListTaskDefinitions>): { taskDefinitionArns: string[]; nextToken?: string };
}

const parseName = (name: string): { family: string; revision: number | undefined } => {
  const [family = '', revision] = (name.startsWith('arn:') ? name.slice(name.lastIndexOf('/') + 1) : name).split(':');
  return { family, revision: revision === undefined ? undefined : Number(revision) };
};

/** @param arnPrefix `arn:aws:ecs:<region>:<account>` */
export const openDefinitions = (dir: string, arnPrefix: string, clock: Clock): Definitions => {
  const file: JsonFile = jsonFile(join(dir, 'definitions.json'));
  const all: TaskDefinition[] = Stored.parse(file.read() ?? []);
  const save = () => file.save(() => all);
  const nowSec = () => clock.nowMs() / 1_000;

  const find = (name: string): TaskDefinition => {
    const { family, revision } = parseName(name);
    const found =
      revision === undefined
        ? all.findLast((one) => one.family === family && one.status === 'ACTIVE')
        : all.find((one) => one.family === family && one.revision === revision);
    if (found === undefined) throw new EcsError('ClientException', 'Unable to describe task definition.');
    return found;
  };

  return {
    find,
    async register(request) {
      if (all.length >= DEFINITIONS_MAX)
        throw new EcsError('LimitExceededException', `${DEFINITIONS_MAX} task definitions are registered already.`);
      const revision =
        Math.max(0, ...all.filter((one) => one.family === request.family).map((one) => one.revision)) + 1;
      const definition: TaskDefinition = {
        ...request,
        revision,
        taskDefinitionArn: `${arnPrefix}:task-definition/${request.family}:${revision}`,
        status: 'ACTIVE',
        registeredAt: nowSec(),
      };
      all.push(definition);
      await save();
      return definition;
    },
    async deregister(name) {
      if (parseName(name).revision === undefined)
        throw new EcsError('InvalidParameterException', 'Revision is missing: name the definition as family:revision.');
      const definition = find(name);
      definition.status = 'INACTIVE';
      definition.deregisteredAt ??= nowSec();
      await save();
      return definition;
    },
    list(request) {
      const matching = all
        .filter((one) => one.status === request.status)
        .filter((one) => request.familyPrefix === undefined || one.family === request.familyPrefix)
        .sort((a, b) => a.family.localeCompare(b.family) || a.revision - b.revision)
        .map((one) => one.taskDefinitionArn);
      const { items, nextToken } = page(request.sort === 'DESC' ? matching.reverse() : matching, request);
      return { taskDefinitionArns: items, ...(nextToken === undefined ? {} : { nextToken }) };
    },
  };
};
