/** Tasks and the machines they run on: launched once per client token, stopped, lost with their disk, told of late, twice or never. */
import type { LaunchRequest, TaskLauncher, TaskLister, TaskStatus } from '../../functions/sessions/ports.ts';
import type { TaskStateChange } from '../../functions/sessions/task-stopped.ts';
import type { Chance } from './chance.ts';
import type { Reach } from './control-plane.ts';
import type { Faults } from './faults.ts';
import type { Scheduler } from './scheduler.ts';

export interface Host {
  /** SIGTERM to what runs there; SIGKILL and the end of the machine follow. */
  terminate(): void;
  /** The machine is gone, with its disk. */
  destroy(): void;
}

export interface Task {
  readonly taskArn: string;
  readonly startedBy: string;
  readonly environment: Readonly<Record<string, string>>;
  host: Host | null;
  stopped: { readonly why: string; readonly exitCode: number | null; readonly stopCode: string } | null;
}

export interface EcsOptions {
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly faults: Faults;
  readonly startHost: (task: Task) => Host;
  readonly onEvent: (event: TaskStateChange) => void;
}

const STOP_TIMEOUT_MS = 30_000;
const LATE_MS = { from: 60_000, to: 15 * 60_000 };

export class Ecs {
  readonly #options: EcsOptions;
  readonly #tasks = new Map<string, Task>();
  readonly #tokens = new Map<string, Task>();

  constructor(options: EcsOptions) {
    this.#options = options;
  }

  get running(): readonly Task[] {
    return [...this.#tasks.values()].filter((task) => task.stopped === null);
  }

  launcher(reach: Reach): TaskLauncher & TaskLister {
    return {
      launch: (request) =>
        reach(() => {
          const { chance, faults } = this.#options;
          const known = this.#tokens.get(request.clientToken);
          if (known === undefined && faults.isOn && chance.is(0.02))
            return { kind: 'refused', reason: 'no capacity' } as const;
          return { kind: 'launched', taskArn: (known ?? this.#launch(request)).taskArn } as const;
        }),
      status: (taskArn) => reach(() => this.#status(taskArn)),
      listRunning: () => reach(() => ({ tasks: [...this.running], cursor: null })),
      stop: (taskArn, reason) =>
        reach(() => {
          const task = this.#tasks.get(taskArn);
          if (task !== undefined) this.#terminate(task, reason);
        }),
    };
  }

  /** The container of a task ended by itself. */
  exited(task: Task, exitCode: number): void {
    this.#stop(task, 'Essential container in task exited', exitCode, 'EssentialContainerExited');
  }

  /** Somebody in charge of the machines takes one away in order. */
  drainOne(): void {
    const [task] = this.running;
    if (task?.host) this.#terminate(task, 'the host is drained');
  }

  /** The machine of a task is gone; ECS sees it a little later. */
  lose(task: Task): void {
    task.host?.destroy();
    const { scheduler, chance } = this.#options;
    scheduler.after(chance.between(1_000, 30_000), () =>
      this.#stop(task, 'Host EC2 instance terminated', null, 'TerminationNotice'),
    );
  }

  #launch({ clientToken, startedBy, environment }: LaunchRequest): Task {
    const { scheduler, chance, faults } = this.#options;
    const task: Task = { taskArn: `task/${this.#tasks.size + 1}`, startedBy, environment, host: null, stopped: null };
    this.#tokens.set(clientToken, task);
    this.#tasks.set(task.taskArn, task);
    const fails = faults.isOn && chance.is(0.03);
    scheduler.after(chance.between(500, fails ? 60_000 : 8_000), () => {
      if (task.stopped !== null) return;
      if (fails) this.#stop(task, 'CannotPullContainerError', null, 'TaskFailedToStart');
      else task.host = this.#options.startHost(task);
    });
    this.#tell(task, 'RUNNING');
    return task;
  }

  #status(taskArn: string): TaskStatus {
    const task = this.#tasks.get(taskArn);
    if (task === undefined || (this.#options.faults.isOn && this.#options.chance.is(0.03))) return { kind: 'unknown' };
    return task.stopped === null ? { kind: 'live' } : { kind: 'stopped', ...task.stopped };
  }

  #terminate(task: Task, why: string): void {
    if (task.stopped !== null) return;
    task.host?.terminate();
    this.#options.scheduler.after(task.host === null ? 0 : STOP_TIMEOUT_MS, () => {
      task.host?.destroy();
      this.#stop(task, `stopped: ${why}`, 137, 'UserInitiated');
    });
  }

  #stop(task: Task, why: string, exitCode: number | null, stopCode: string): void {
    if (task.stopped !== null) return;
    task.host?.destroy();
    task.stopped = { why, exitCode, stopCode };
    this.#tell(task, 'STOPPED');
  }

  /** At least once at best: events come late, again, or not at all. */
  #tell(task: Task, lastStatus: string): void {
    const { scheduler, chance, faults, onEvent } = this.#options;
    const { taskArn, startedBy, stopped } = task;
    const event: TaskStateChange = {
      detail: {
        ...{ taskArn, lastStatus, startedBy, version: 1 },
        ...(stopped === null ? {} : { stoppedReason: stopped.why, stopCode: stopped.stopCode }),
        containers: stopped?.exitCode == null ? [] : [{ exitCode: stopped.exitCode }],
      },
    };
    if (faults.strikes('ecs_missing')) return;
    const times = faults.strikes('ecs_repeated') ? chance.int(2, 3) : 1;
    for (let time = 0; time < times; time += 1) {
      const isLate = faults.strikes('ecs_late');
      const delayMs = isLate ? chance.between(LATE_MS.from, LATE_MS.to) : chance.between(50, 3_000);
      scheduler.after(delayMs, () => onEvent(event));
    }
  }
}
