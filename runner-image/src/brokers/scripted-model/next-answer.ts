/** Decides what the scripted model says next: scenario and position in, one answer out. */
import { posix } from 'node:path';
import type { Scenario, ScenarioStep } from '../../../../shared/scenario.ts';
import type { FinishedCall, Position } from './conversation.ts';

export type AnswerPart =
  | { readonly kind: 'wait'; readonly waitMs: number }
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'tool';
      readonly name: 'Write' | 'Read' | 'Bash';
      readonly input: Readonly<Record<string, string>>;
    };

export interface Answer {
  readonly parts: readonly AnswerPart[];
  /** The index of the turn that ends with this answer, if one does. */
  readonly finishesTurn: number | undefined;
}

const DONE_TEXT = 'Done.';
export const PAST_THE_END_TEXT = 'The scenario has no more turns. This is the end of the script.';
export const SIDE_CALL_TEXT = 'Scripted session';

/** A CLI may insist that an existing file is read before it is overwritten. */
const wantsRead = (call: FinishedCall): boolean =>
  call.name === 'Write' && call.isError && /read it first|has not been read/i.test(call.resultText);

function partOf(step: ScenarioStep, workspace: string): AnswerPart {
  if ('say' in step) return { kind: 'text', text: step.say };
  if ('waitMs' in step) return { kind: 'wait', waitMs: step.waitMs };
  if ('run' in step)
    return { kind: 'tool', name: 'Bash', input: { command: step.run, description: 'A step of the scenario' } };
  return {
    kind: 'tool',
    name: 'Write',
    input: { file_path: posix.join(workspace, step.write.path), content: step.write.content },
  };
}

/**
 * Cuts a turn into answers. In this API an answer without a tool call ends the turn, so what is said or waited rides with the tool call that
 * follows it; what comes after the last call is the answer that ends the turn.
 */
export function answersOfTurn(steps: readonly ScenarioStep[], workspace: string): readonly (readonly AnswerPart[])[] {
  const answers: AnswerPart[][] = [];
  let open: AnswerPart[] = [];
  for (const step of steps) {
    const part = partOf(step, workspace);
    // An empty text block is refused by the real API, also when it comes back in the next request.
    if (part.kind === 'text' && part.text === '') continue;
    open.push(part);
    if (part.kind === 'tool') {
      answers.push(open);
      open = [];
    }
  }
  if (!open.some((part) => part.kind === 'text')) open.push({ kind: 'text', text: DONE_TEXT });
  return [...answers, open];
}

interface Cursor {
  readonly answer: number;
  readonly redo: 'none' | 'read_first' | 'write_again';
}

/** A read asked for by the CLI consumes no step, and is done at most once for each write. */
function cursorOf(calls: readonly FinishedCall[]): Cursor {
  let cursor: Cursor = { answer: 0, redo: 'none' };
  for (const call of calls) {
    if (call.name === 'Read' && cursor.redo === 'read_first') cursor = { answer: cursor.answer, redo: 'write_again' };
    else if (wantsRead(call) && cursor.redo === 'none') cursor = { answer: cursor.answer, redo: 'read_first' };
    else cursor = { answer: cursor.answer + 1, redo: 'none' };
  }
  return cursor;
}

/** The next answer of the script. Paths become absolute under `workspace`; the same position always gives the same answer. */
export function nextAnswer(scenario: Scenario, workspace: string, position: Position): Answer {
  const running = position.turn < 0 ? [] : scenario.turns.slice(position.turn, position.turn + position.turns);
  if (running.length === 0) return { parts: [{ kind: 'text', text: PAST_THE_END_TEXT }], finishesTurn: undefined };
  const steps = running.flatMap((turn) => turn.steps);
  const answers = answersOfTurn(steps, workspace);
  const cursor = cursorOf(position.calls);
  const index = Math.min(cursor.answer, answers.length - 1);
  const parts = answers[index] ?? [];
  const finishesTurn = index === answers.length - 1 ? position.turn + running.length - 1 : undefined;
  if (cursor.redo === 'none') return { parts, finishesTurn };
  const again = parts.filter((part) => part.kind === 'tool');
  const filePath = again[0]?.input.file_path;
  if (cursor.redo === 'write_again' || filePath === undefined) return { parts: again, finishesTurn };
  return { parts: [{ kind: 'tool', name: 'Read', input: { file_path: filePath } }], finishesTurn: undefined };
}
