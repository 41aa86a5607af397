/** EventBridge on one machine: rules by source and detail type hand events to Lambda's asynchronous queue, at least once. */
import type { EventRuleSpec, FunctionName } from '../../infra/topology.ts';
import type { Clock } from '../../shared/clock.ts';

/** Events that wait until handlers can run or their queue has room; beyond it the oldest is dropped with a warning. */
export const WAITING_EVENTS_MAX = 10_000;
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 10_000;

/** As EventBridge delivers them. */
export interface BusEvent {
  readonly source: string;
  readonly 'detail-type': string;
}
export interface EventBusOptions {
  readonly rules: readonly EventRuleSpec[];
  /** Lambda's asynchronous invocation: its own retries, repeats and disorder start behind `accepted`. */
  readonly invoke: (functionName: FunctionName, event: unknown) => 'accepted' | 'too_large' | 'queue_full';
  readonly clock: Clock;
  readonly warn: (message: string) => void;
}
export interface EventBus {
  put(event: BusEvent): void;
  /** Starts delivery: events put before wait, since handlers have no environment yet. */
  open(): void;
  /** Delivers nothing any more. */
  stop(): void;
}

interface Delivery {
  readonly functionName: FunctionName;
  readonly event: BusEvent;
}

export const createEventBus = ({ rules, invoke, clock, warn }: EventBusOptions): EventBus => {
  const waiting: Delivery[] = [];
  let phase: 'closed' | 'open' | 'stopped' = 'closed';
  let cancelRetry: (() => void) | undefined;
  let retryMs = RETRY_FIRST_MS;

  const drain = (): void => {
    cancelRetry = undefined;
    for (let first = waiting[0]; first !== undefined && phase === 'open'; first = waiting[0]) {
      const answer = invoke(first.functionName, first.event);
      if (answer === 'queue_full') {
        cancelRetry = clock.after(retryMs, drain);
        retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
        return;
      }
      retryMs = RETRY_FIRST_MS;
      if (answer === 'too_large')
        warn(`event bus: ${first.event['detail-type']} is too large for ${first.functionName}`);
      waiting.shift();
    }
  };

  return {
    put(event) {
      if (phase === 'stopped') return;
      const matching = rules.filter((rule) => rule.source === event.source && rule.detailType === event['detail-type']);
      for (const rule of matching) waiting.push({ functionName: rule.function, event });
      const surplus = waiting.splice(0, Math.max(0, waiting.length - WAITING_EVENTS_MAX));
      if (surplus.length > 0) warn(`event bus: ${surplus.length} events dropped, ${WAITING_EVENTS_MAX} wait already`);
      if (cancelRetry === undefined) drain();
    },
    open() {
      phase = 'open';
      drain();
    },
    stop() {
      phase = 'stopped';
      cancelRetry?.();
    },
  };
};
