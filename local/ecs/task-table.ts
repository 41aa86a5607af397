/** What is known of tasks, on disk: every change raises the version and becomes an event; ended tasks are forgotten after an hour. */
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock, Random } from '../../shared/clock.ts';
import { ClientTokens } from './client-tokens.ts';
import { STOPPED_TASK_VISIBLE_MS } from './ecs-limits.ts';
import { jsonFile } from './json-file.ts';
import { type StopCode, Task, type TaskEvent, taskEvent, taskId } from './task.ts';

const Stored = z.object({ tasks: z.array(Task), tokens: ClientTokens });
const EVENT_ID_BYTES = 16;

export interface TaskTableOptions {
  readonly dir: string;
  readonly emit: (event: TaskEvent) => void;
  /** Called when an ended task is forgotten. */
  readonly forget: (taskId: string) => void;
  /** Called at opening for a task that an earlier life left running. */
  readonly cleanUp: (taskId: string) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly warn: (message: string) => void;
}
export interface TaskTable {
  readonly tokens: ClientTokens;
  all(): Task[];
  /** By id or ARN. */
  find(name: string): Task | undefined;
  add(task: Task): void;
  change(task: Task, values: Partial<Task>): void;
  /** Ends a task; a stop code and reason given before win. */
  markStopped(task: Task, stopCode: StopCode, stoppedReason: string, exitCode?: number): void;
  save(): Promise<void>;
  /** No task is forgotten any more. */
  close(): void;
}

/** Opens the table; tasks of an earlier life are marked STOPPED at once, since their processes died with it. */
export const openTaskTable = ({ dir, emit, forget, cleanUp, clock, random, warn }: TaskTableOptions): TaskTable => {
  const file = jsonFile(join(dir, 'tasks.json'));
  const stored = Stored.parse(file.read() ?? { tasks: [], tokens: [] });
  const tasks = new Map(stored.tasks.map((task) => [taskId(task), task]));
  const forgetters = new Map<string, () => void>();

  const save = () => file.save(() => ({ tasks: [...tasks.values()], tokens: stored.tokens }));
  const saveSoon = (): void =>
    void save().catch((error: unknown) => warn(`ecs: task states were not saved: ${String(error)}`));
  const change = (task: Task, values: Partial<Task>): void => {
    Object.assign(task, values, { version: task.version + 1 });
    emit(taskEvent(structuredClone(task), random.hex(EVENT_ID_BYTES), clock.nowMs()));
    saveSoon();
  };
  const forgetLater = (task: Task): void => {
    const id = taskId(task);
    const dueMs = (task.stoppedAtMs ?? clock.nowMs()) + STOPPED_TASK_VISIBLE_MS;
    const cancel = clock.after(Math.max(0, dueMs - clock.nowMs()), () => {
      tasks.delete(id);
      forgetters.delete(id);
      forget(id);
      saveSoon();
    });
    forgetters.set(id, cancel);
  };
  const markStopped: TaskTable['markStopped'] = (task, stopCode, stoppedReason, exitCode) => {
    const nowMs = clock.nowMs();
    change(task, {
      lastStatus: 'STOPPED',
      desiredStatus: 'STOPPED',
      stopCode: task.stopCode ?? stopCode,
      stoppedReason: task.stoppedReason ?? stoppedReason,
      stoppingAtMs: task.stoppingAtMs ?? nowMs,
      stoppedAtMs: nowMs,
      ...(exitCode === undefined ? {} : { exitCode }),
    });
    forgetLater(task);
  };

  for (const task of tasks.values())
    if (task.lastStatus === 'STOPPED') forgetLater(task);
    else {
      cleanUp(taskId(task));
      markStopped(task, 'TerminationNotice', 'The host of the task was restarted.');
    }

  return {
    tokens: stored.tokens,
    all: () => [...tasks.values()],
    find: (name) => tasks.get(name.slice(name.lastIndexOf('/') + 1)),
    add(task) {
      tasks.set(taskId(task), task);
      change(task, {});
    },
    change,
    markStopped,
    save,
    close() {
      for (const cancel of forgetters.values()) cancel();
    },
  };
};
