import { expect, test } from 'vitest';
import type { EventOf } from '../../../../shared/events.ts';
import { controlWords } from '../../../../shared/viewer/control-words.ts';
import { fixture } from '../fixtures.ts';

const recorded = fixture('events', 'control_taken') as unknown as EventOf<'control_taken'>;
const told = (over: Partial<EventOf<'control_taken'>>) => {
  const { title, detail } = controlWords({ ...recorded, ...over });
  return `${title} (${detail})`;
};

test.each([
  [{}, 'ada got the keyboard from grace (grace allowed it; now Safari on an iPhone, before Chrome on Linux)'],
  [{ how: 'free' }, 'ada took the keyboard (grace had left it; now Safari on an iPhone, before Chrome on Linux)'],
  [
    { how: 'taken', device: '' },
    'ada took the keyboard from grace (without waiting for a yes; before Chrome on Linux)',
  ],
  [
    { from: { ...recorded.from, userId: 'ada' } },
    'The keyboard went to another window (of ada; now Safari on an iPhone, before Chrome on Linux)',
  ],
  [{ how: 'free', device: '', from: { ...recorded.from, device: '' } }, 'ada took the keyboard (grace had left it)'],
] as const)('%j: %s', (over, words) => {
  expect(told(over)).toBe(words);
});
