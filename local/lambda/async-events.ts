/** Lambda's queue of asynchronous invocations: at least once, retried after errors, patient while throttled, bounded. */
import type { Clock, Random } from '../../shared/clock.ts';
import type { Chaos } from '../chaos.ts';
import {
  ASYNC_MAX_AGE_MS,
  ASYNC_MAX_EVENTS,
  ASYNC_PAYLOAD_MAX_BYTES,
  ASYNC_RETRIES,
  ASYNC_RETRY_DELAYS_MS,
  THROTTLE_FIRST_MS,
  THROTTLE_MAX_MS,
} from './quotas.ts';
import { toJson } from './run-handler.ts';
import type { InvokeOptions, LambdaInvoker, PlatformLog } from './types.ts';

interface Ports extends LambdaInvoker {
  readonly clock: Clock;
  readonly random: Random;
  readonly chaos: Chaos;
  readonly log: PlatformLog;
}

interface Waiting {
  readonly name: string;
  /** A copy: the sender may change its object at once. */
  readonly event: unknown;
  readonly options: InvokeOptions;
  readonly acceptedMs: number;
  readonly errors: number;
  readonly throttles: number;
}

type Next = { readonly action: 'done' } | { readonly action: 'drop' } | RetryIn;
interface RetryIn {
  readonly action: 'retry';
  readonly inMs: number;
  readonly item: Waiting;
}

/** What follows an attempt (Lambda: two more tries after errors; throttles back off up to six hours). */
export function nextAttempt(item: Waiting, kind: 'ok' | 'error' | 'timeout' | 'throttled', nowMs: number): Next {
  if (kind === 'ok') return { action: 'done' };
  const spent =
    kind === 'throttled'
      ? { ...item, throttles: item.throttles + 1 }
      : { ...item, errors: item.errors + 1, throttles: 0 };
  if (spent.errors > ASYNC_RETRIES) return { action: 'drop' };
  const inMs =
    kind === 'throttled'
      ? Math.min(THROTTLE_MAX_MS, THROTTLE_FIRST_MS * 2 ** (spent.throttles - 1))
      : (ASYNC_RETRY_DELAYS_MS[spent.errors - 1] ?? THROTTLE_MAX_MS);
  if (nowMs + inMs - item.acceptedMs > ASYNC_MAX_AGE_MS) return { action: 'drop' };
  return { action: 'retry', inMs, item: spent };
}

export class AsyncEvents {
  readonly #ports: Ports;
  readonly #timers = new Set<() => void>();
  readonly #waiters = new Set<() => void>();
  #count = 0;
  #stopped = false;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  accept(name: string, event: unknown, options: InvokeOptions): 'accepted' | 'too_large' | 'queue_full' {
    const serialised = toJson(event, ASYNC_PAYLOAD_MAX_BYTES);
    if (!serialised.ok) return 'too_large';
    const copies = this.#ports.chaos.strikes('duplicate', `event/${name}`) ? 2 : 1;
    if (this.#stopped || this.#count + copies > ASYNC_MAX_EVENTS) return 'queue_full';
    for (let copy = 0; copy < copies; copy += 1) this.#admit(name, JSON.parse(serialised.json), options);
    return 'accepted';
  }

  #admit(name: string, event: unknown, options: InvokeOptions): void {
    this.#count += 1;
    const item = { name, event, options, acceptedMs: this.#ports.clock.monotonicMs(), errors: 0, throttles: 0 };
    this.#later(this.#ports.chaos.reorderMs(`event/${name}`), () => void this.#attempt(item));
  }

  #later(delayMs: number, run: () => void): void {
    const cancel = this.#ports.clock.after(delayMs, () => {
      this.#timers.delete(cancel);
      run();
    });
    this.#timers.add(cancel);
  }

  async #attempt(item: Waiting): Promise<void> {
    const result = await this.#ports.invoke(item.name, item.event, item.options);
    const next = nextAttempt(item, result.ok ? 'ok' : result.kind, this.#ports.clock.monotonicMs());
    if (next.action === 'retry' && !this.#stopped) {
      this.#later(next.inMs, () => void this.#attempt(next.item));
      return;
    }
    if (next.action === 'drop')
      // Without the event: it may carry a token.
      this.#ports.log('asynchronous event dropped after its last try', {
        function: item.name,
        source: item.options.source,
      });
    this.#release();
  }

  #release(count = 1): void {
    this.#count -= count;
    if (this.#count > 0) return;
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }

  drained(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.add(resolve));
  }

  stop(): void {
    this.#stopped = true;
    const waiting = this.#timers.size;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    if (waiting > 0) this.#release(waiting);
  }
}
