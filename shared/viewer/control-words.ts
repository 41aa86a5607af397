/** How a keyboard that changed hands is told: from whom, to whom, and how it came. */
import type { EventOf } from '../events.ts';

interface ControlWords {
  readonly title: string;
  readonly detail: string;
}

/** Two windows of one person have only their devices to be told apart by. */
export const controlWords = ({ userId, device, from, how }: EventOf<'control_taken'>): ControlWords => {
  const now = device === '' ? [] : [`now ${device}`];
  const before = from.device === '' ? [] : [`before ${from.device}`];
  const devices = [...now, ...before].join(', ');
  if (userId === from.userId) return { title: `${userId} went on typing in another window`, detail: devices };
  const [title, means] = {
    allowed: [`${userId} got the keyboard from ${from.userId}`, `${from.userId} allowed it`],
    free: [`${userId} took the keyboard`, `${from.userId} had left it`],
    taken: [`${userId} took the keyboard from ${from.userId}`, 'without waiting for a yes'],
  }[how];
  return { title: title ?? '', detail: [means, devices].filter((part) => part !== '').join('; ') };
};
