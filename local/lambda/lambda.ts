/** Lambda on one machine: the entries of the topology in this process, with AWS's caps, time-outs and injected faults. */
import type { FunctionSpec } from '../../infra/topology.ts';
import { type Clock, type Random, sleep } from '../../shared/clock.ts';
import { type Chaos, createChaos } from '../chaos.ts';
import { AsyncEvents } from './async-events.ts';
import { PAYLOAD_MAX_BYTES, UNRESERVED_CONCURRENCY } from './quotas.ts';
import { runHandler, toJson } from './run-handler.ts';
import type { InvokeOptions, InvokeResult, Lambda, LambdaHandler, LoadEntry, PlatformLog } from './types.ts';

export interface LambdaOptions {
  readonly functions: readonly FunctionSpec[];
  readonly load: LoadEntry;
  readonly clock: Clock;
  readonly random: Random;
  readonly chaos?: Chaos;
  readonly log?: PlatformLog;
}

const STOP_GRACE_MS = 5_000;
/** Sources whose callers retry, so that an injected throttle tests something real. */
const RETRIED_SOURCES: ReadonlySet<InvokeOptions['source']> = new Set(['event', 'schedule', 'stream']);

const throttled = (name: string, why: string): InvokeResult => ({
  ok: false,
  kind: 'throttled',
  errorType: 'TooManyRequestsException',
  message: `Rate Exceeded: ${name}: ${why}.`,
});

/** Counts running invocations against reserved concurrency, or the pool that all other functions share. */
class Concurrency {
  readonly #running = new Map<string, number>();
  #unreserved = 0;
  #total = 0;
  readonly #waiters = new Set<() => void>();

  enter(spec: FunctionSpec): boolean {
    const running = this.#running.get(spec.name) ?? 0;
    if (spec.reservedConcurrency !== undefined && running >= spec.reservedConcurrency) return false;
    if (spec.reservedConcurrency === undefined && this.#unreserved >= UNRESERVED_CONCURRENCY) return false;
    if (spec.reservedConcurrency === undefined) this.#unreserved += 1;
    this.#running.set(spec.name, running + 1);
    this.#total += 1;
    return true;
  }

  leave(spec: FunctionSpec): void {
    this.#running.set(spec.name, (this.#running.get(spec.name) ?? 1) - 1);
    if (spec.reservedConcurrency === undefined) this.#unreserved -= 1;
    this.#total -= 1;
    if (this.#total > 0) return;
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }

  drained(): Promise<void> {
    if (this.#total === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.add(resolve));
  }
}

/** Loads each entry once; a failed load is tried again by the next invocation, as a new environment would. */
class Handlers {
  readonly #loaded = new Map<string, Promise<LambdaHandler>>();
  readonly #load: LoadEntry;

  constructor(load: LoadEntry) {
    this.#load = load;
  }

  get(entry: string): Promise<LambdaHandler> {
    const known = this.#loaded.get(entry);
    if (known !== undefined) return known;
    const loading = this.#load(entry).then((module) => module.handler);
    this.#loaded.set(entry, loading);
    // The rejection itself reaches the invocation that awaits `loading`.
    loading.catch(() => this.#loaded.delete(entry));
    return loading;
  }
}

/** Builds the invoker of these functions; nothing is loaded before its first invocation. */
export function createLambda(options: LambdaOptions): Lambda {
  const { clock, random, chaos = createChaos(), log = () => {} } = options;
  const specs = new Map<string, FunctionSpec>(options.functions.map((spec) => [spec.name, spec]));
  const handlers = new Handlers(options.load);
  const concurrency = new Concurrency();

  const specOf = (name: string): FunctionSpec => {
    const spec = specs.get(name);
    if (spec === undefined) throw new Error(`The topology has no function "${name}".`);
    return spec;
  };

  const runOnce = async (spec: FunctionSpec, eventJson: string): Promise<InvokeResult> => {
    const coldMs = chaos.coldStartMs(`lambda/${spec.name}`);
    if (coldMs > 0) await sleep(clock, coldMs);
    let handler: LambdaHandler;
    try {
      handler = await handlers.get(spec.entry);
    } catch (error) {
      // Reported as Lambda does; without the log line a broken entry would be a mute 500.
      log('function cannot be loaded', { function: spec.name, error });
      return { ok: false, kind: 'error', errorType: 'Runtime.ImportModuleError', message: String(error) };
    }
    return runHandler(spec, handler, eventJson, { clock, random });
  };

  const invoke = async (name: string, event: unknown, { source }: InvokeOptions): Promise<InvokeResult> => {
    const spec = specOf(name);
    const serialised = toJson(event, PAYLOAD_MAX_BYTES);
    if (!serialised.ok)
      return { ok: false, kind: 'error', errorType: 'RequestTooLargeException', message: serialised.why };
    if (RETRIED_SOURCES.has(source) && chaos.strikes('throttle', `lambda/${name}`)) return throttled(name, 'chaos');
    if (!concurrency.enter(spec)) return throttled(name, 'no concurrency left');
    try {
      const result = await runOnce(spec, serialised.json);
      if (!result.ok)
        log('invocation failed', { function: name, source, errorType: result.errorType, error: result.message });
      return result;
    } finally {
      concurrency.leave(spec);
    }
  };

  const events = new AsyncEvents({ clock, random, chaos, log, invoke });
  return {
    invoke,
    invokeAsync: (name, event, invokeOptions) => events.accept(specOf(name).name, event, invokeOptions),
    idle: async () => {
      await events.drained();
      await concurrency.drained();
    },
    stop: async (graceMs = STOP_GRACE_MS) => {
      events.stop();
      let cancel = () => {};
      const grace = new Promise<void>((resolve) => {
        cancel = clock.after(graceMs, resolve);
      });
      await Promise.race([concurrency.drained(), grace]);
      cancel();
    },
  };
}
