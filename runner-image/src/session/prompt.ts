/** What the CLI is asked at the start: the prompt as given, with the task's goal, limits and measures. */
import type { SessionInputs } from '../../../shared/session.ts';

const list = (title: string, entries: readonly string[]): string[] =>
  entries.length === 0 ? [] : [`${title}:\n${entries.map((entry) => `- ${entry}`).join('\n')}`];

/** `null` when nothing is asked: then a person leads from the beginning. */
export const composePrompt = ({ prompt, task }: SessionInputs): string | null => {
  if (!task) return prompt ?? null;
  const parts = [
    ...(prompt === undefined ? [task.title] : [prompt]),
    ...(task.goal === '' ? [] : [task.goal]),
    ...list('Constraints', task.constraints),
    ...list('Done when', task.acceptance),
  ];
  return parts.join('\n\n');
};
