/** Starts and stops the tasks of the one local cluster. */
import type { Clock, Random } from '../../shared/clock.ts';
import { forgetToken, rememberToken, tasksOfToken } from './client-tokens.ts';
import type { TaskDefinition } from './definitions.ts';
import { LIVE_TASKS_MAX } from './ecs-limits.ts';
import { environmentOf, imageOf, newTask, refuseBadRun, type TaskPlace } from './new-task.ts';
import type { LaunchedTask, TaskExit, TaskLauncher } from './process-launcher.ts';
import type { RunTask } from './requests.ts';
import { type Task, taskId } from './task.ts';
import { openTaskTable, type TaskTable, type TaskTableOptions } from './task-table.ts';

const TASK_ID_BYTES = 16;

export interface RunFailure {
  readonly arn: string;
  readonly reason: string;
  readonly detail: string;
}
export interface TasksOptions extends Omit<TaskTableOptions, 'forget' | 'cleanUp'>, TaskPlace {
  readonly launcher: TaskLauncher;
  readonly clock: Clock;
  readonly random: Random;
  readonly maxLiveTasks?: number;
}

export class Tasks {
  readonly #options: TasksOptions;
  readonly #table: TaskTable;
  readonly #launched = new Map<string, LaunchedTask>();
  #isDraining = false;
  #isClosing = false;
  #allEnded = Promise.withResolvers<void>();

  constructor(options: TasksOptions) {
    this.#options = options;
    this.#table = openTaskTable({
      ...options,
      forget: (id) => options.launcher.forget(id),
      cleanUp: (id) => options.launcher.cleanUp(id),
    });
  }

  /** By id or ARN; undefined for a task that never was or is forgotten. */
  find(name: string): Task | undefined {
    return this.#table.find(name);
  }

  all(): readonly Task[] {
    return this.#table.all();
  }

  /** Answers the tasks as they were when accepted; throws EcsError, and puts what cannot be launched into `failures`. */
  async run(request: RunTask, definition: TaskDefinition): Promise<{ tasks: Task[]; failures: RunFailure[] }> {
    const { clock, random } = this.#options;
    refuseBadRun(request, definition);
    const earlier = tasksOfToken(this.#table.tokens, request, clock.nowMs());
    if (earlier !== undefined) return { tasks: earlier.flatMap((arn) => this.find(arn) ?? []), failures: [] };
    const failure = this.#capacityFailure(request.count);
    if (failure !== undefined) return { tasks: [], failures: [failure] };
    const started = Array.from({ length: request.count }, () =>
      newTask(request, definition, this.#options, random.hex(TASK_ID_BYTES), clock.nowMs()),
    );
    for (const task of started) this.#table.add(task);
    const arns = started.map(({ taskArn }) => taskArn);
    rememberToken(this.#table.tokens, request, arns, clock.nowMs());
    const answer = structuredClone(started);
    // A repeat of the call after a crash must find the token, so it is on disk before anything runs.
    try {
      await this.#table.save();
    } catch (error) {
      // Nothing was launched and nothing ever will be: a repeat of the call must not be told otherwise.
      forgetToken(this.#table.tokens, request);
      for (const task of started) this.#table.markStopped(task, 'TaskFailedToStart', 'The task could not be stored');
      throw error;
    }
    for (const task of started) this.#launch(task, definition);
    return { tasks: answer, failures: [] };
  }

  async stop(task: Task, reason: string): Promise<Task> {
    if (task.desiredStatus === 'STOPPED') return task;
    this.#table.change(task, {
      desiredStatus: 'STOPPED',
      lastStatus: 'STOPPING',
      stoppingAtMs: this.#options.clock.nowMs(),
      stopCode: 'UserInitiated',
      stoppedReason: reason,
    });
    this.#launched.get(taskId(task))?.stop();
    return task;
  }

  /** Asks every task to end in order, as StopTask does, and waits for that at most `maxMs`; nothing is launched after it. */
  async drain(maxMs: number, reason: string): Promise<{ ended: number; left: number }> {
    this.#isDraining = true;
    const running = this.all().filter((task) => task.lastStatus !== 'STOPPED');
    await Promise.all(running.map((task) => this.stop(task, reason)));
    let cancel = (): void => {};
    const tooLong = new Promise<void>((resolve) => {
      cancel = this.#options.clock.after(maxMs, resolve);
    });
    if (this.#launched.size > 0) await Promise.race([this.#allEnded.promise, tooLong]);
    cancel();
    return { ended: running.length - this.#launched.size, left: this.#launched.size };
  }

  /** Kills what runs; nothing is launched after it. The end of these tasks is told at the next start, when somebody listens again. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#table.close();
    for (const task of [...this.#launched.values()]) task.kill();
    if (this.#launched.size > 0) await this.#allEnded.promise;
    await this.#table.save();
  }

  #capacityFailure(count: number): RunFailure | undefined {
    const { arnPrefix, cluster, maxLiveTasks = LIVE_TASKS_MAX } = this.#options;
    const live = this.all().filter((task) => task.lastStatus !== 'STOPPED').length;
    if (!this.#isClosing && !this.#isDraining && live + count <= maxLiveTasks) return undefined;
    const detail = `This machine runs at most ${maxLiveTasks} tasks at once.`;
    return { arn: `${arnPrefix}:cluster/${cluster}`, reason: 'RESOURCE:CPU', detail };
  }

  #launch(task: Task, definition: TaskDefinition): void {
    if (this.#isClosing) return;
    if (task.desiredStatus === 'STOPPED') {
      this.#table.markStopped(task, 'UserInitiated', 'Stopped before it was launched');
      return;
    }
    this.#table.change(task, { lastStatus: 'PENDING' });
    const image = imageOf(definition, task);
    const spec = {
      taskId: taskId(task),
      environment: environmentOf(definition, task),
      stopTimeoutSec: task.stopTimeoutSec,
      ...(image === undefined ? {} : { image }),
    };
    const onStarted = () =>
      this.#table.change(task, {
        startedAtMs: this.#options.clock.nowMs(),
        ...(task.desiredStatus === 'STOPPED' ? {} : { lastStatus: 'RUNNING' }),
      });
    try {
      const launched = this.#options.launcher.launch(spec, onStarted, (exit) => this.#onExit(task, exit));
      this.#launched.set(spec.taskId, launched);
    } catch (error) {
      this.#onExit(task, { exitCode: null, reason: error instanceof Error ? error.message : String(error) });
    }
  }

  #onExit(task: Task, { exitCode, reason }: TaskExit): void {
    this.#launched.delete(taskId(task));
    if (this.#launched.size === 0 && (this.#isClosing || this.#isDraining)) this.#allEnded.resolve();
    if (this.#isClosing) return;
    if (exitCode === null) this.#table.markStopped(task, 'TaskFailedToStart', `CannotStartContainerError: ${reason}`);
    else this.#table.markStopped(task, 'EssentialContainerExited', reason, exitCode);
  }
}
