/** How a keyboard that changed hands is told: from whom, to whom, and how it came. */
import type { EventOf } from '../events.ts';

interface ControlWords {
  readonly title: string;
  readonly detail: string;
}

const isSaid = (part: string): boolean => part !== '';

/** Two windows of one person have only their devices to be told apart by. */
export const controlWords = ({ userId, device, from, how }: EventOf<'control_taken'>): ControlWords => {
  const now = device === '' ? [] : [`now ${device}`];
  const before = from.device === '' ? [] : [`before ${from.device}`];
  const devices = [...now, ...before].join(', ');
  if (userId === from.userId)
    return {
      title: 'The keyboard went to another window',
      detail: `of ${[userId, devices].filter(isSaid).join('; ')}`,
    };
  const { title, means } = {
    allowed: { title: `${userId} got the keyboard from ${from.userId}`, means: `${from.userId} allowed it` },
    free: { title: `${userId} took the keyboard`, means: `${from.userId} had left it` },
    taken: { title: `${userId} took the keyboard from ${from.userId}`, means: 'without waiting for a yes' },
  }[how];
  return { title, detail: [means, devices].filter(isSaid).join('; ') };
};
