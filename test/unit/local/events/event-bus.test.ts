import { expect, it } from 'vitest';
import { EVENT_RULES } from '../../../../infra/topology.ts';
import { createEventBus, WAITING_EVENTS_MAX } from '../../../../local/events/event-bus.ts';
import type { Clock } from '../../../../shared/clock.ts';

const setUp = (answer: () => 'accepted' | 'too_large' | 'queue_full' = () => 'accepted') => {
  const delivered: [string, unknown][] = [];
  const warnings: string[] = [];
  const timers: { delayMs: number; run: () => void }[] = [];
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    after(delayMs, run) {
      timers.push({ delayMs, run });
      return () => timers.pop();
    },
  };
  const bus = createEventBus({
    rules: EVENT_RULES,
    invoke(name, event) {
      const result = answer();
      if (result === 'accepted') delivered.push([name, event]);
      return result;
    },
    clock,
    warn: (message) => warnings.push(message),
  });
  return { bus, delivered, warnings, timers };
};
const event = (n = 0) => ({ source: 'aws.ecs', 'detail-type': 'ECS Task State Change', detail: { n } });

it('hands an event to the function whose rule names its source and detail type, and to no other', () => {
  const { bus, delivered } = setUp();
  bus.open();
  bus.put(event());
  bus.put({ ...event(), source: 'aws.s3' });
  bus.put({ ...event(), 'detail-type': 'ECS Container Instance State Change' });
  expect(delivered).toEqual([['task-events', event()]]);
});

it('keeps events until it is opened', () => {
  const { bus, delivered } = setUp();
  bus.put(event(1));
  expect(delivered).toEqual([]);
  bus.open();
  expect(delivered).toHaveLength(1);
});

it('tries again, later each time, while the queue behind it is full', () => {
  let isFull = true;
  const { bus, delivered, timers } = setUp(() => (isFull ? 'queue_full' : 'accepted'));
  bus.open();
  bus.put(event(1));
  bus.put(event(2));
  expect(timers.map((timer) => timer.delayMs)).toEqual([200]);
  timers.shift()?.run();
  expect(timers.map((timer) => timer.delayMs)).toEqual([400]);
  isFull = false;
  timers.shift()?.run();
  expect(delivered.map(([, one]) => one)).toEqual([event(1), event(2)]);
});

it('says what it cannot deliver: too large, or too many', () => {
  const large = setUp(() => 'too_large');
  large.bus.open();
  large.bus.put(event());
  expect(large.warnings).toHaveLength(1);
  const many = setUp();
  for (let n = 0; n <= WAITING_EVENTS_MAX; n += 1) many.bus.put(event(n));
  expect(many.warnings).toHaveLength(1);
  many.bus.open();
  expect(many.delivered).toHaveLength(WAITING_EVENTS_MAX);
  expect(many.delivered[0]?.[1]).toEqual(event(1));
});

it('delivers nothing once stopped', () => {
  const { bus, delivered } = setUp();
  bus.open();
  bus.stop();
  bus.put(event());
  expect(delivered).toEqual([]);
});
