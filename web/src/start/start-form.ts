/** The start form as data: what a person typed, the request it means, and which field each refusal belongs to. */
import type { z } from 'zod';
import { StartSessionBody } from '../../../shared/http.ts';
import type { ProviderId } from '../../../shared/providers.ts';
import { Scenario } from '../../../shared/scenario.ts';
import { HOSTED_POOL, type TerminalSize } from '../../../shared/session.ts';

export interface StartForm {
  readonly repository: string;
  readonly ref: string;
  readonly roomPath: string;
  readonly provider: ProviderId;
  readonly buildId: string;
  readonly pool: string;
  readonly model: string;
  readonly scenario: string;
  readonly prompt: string;
  readonly title: string;
  readonly goal: string;
  /** One per line. */
  readonly constraints: string;
  readonly acceptance: string;
  readonly endWhenDone: boolean;
}
export type StartField = keyof StartForm;
export type FieldErrors = Partial<Record<StartField | 'form', string>>;
export type StartInput = z.input<typeof StartSessionBody>;

/** The scripted model's first scenario: small, visible in terminal, files and diff, and needs nothing installed. */
export const DEMO_SCENARIO = `{
  "turns": [
    {
      "steps": [
        { "say": "I will look at the repository first." },
        { "run": "git log --oneline -5 && ls" },
        { "say": "Now I add a greeting." },
        { "write": { "path": "HELLO.md", "content": "# Hello from the village\\n\\nWritten by the scripted demo model.\\n" } },
        { "run": "git status --short" },
        { "say": "Done: HELLO.md is there." }
      ]
    }
  ]
}
`;

/** A scripted model answers prompts: without one the demo would wait for its person. */
const DEMO_PROMPT = 'Look around, then add a greeting.';

/** What choosing a model changes: the demo brings its prompt where there is none, and takes it along when it is left. */
export const choosingModel = (form: StartForm, model: string): Partial<StartForm> => {
  if (model === form.model) return {};
  if (model === 'scripted') return { model, ...(form.prompt === '' ? { prompt: DEMO_PROMPT } : {}) };
  return { model, ...(form.prompt === DEMO_PROMPT ? { prompt: '' } : {}) };
};

export const EMPTY_FORM: StartForm = {
  repository: '',
  ref: '',
  roomPath: '',
  provider: 'claude_code',
  buildId: '',
  pool: HOSTED_POOL,
  model: 'default',
  scenario: DEMO_SCENARIO,
  prompt: '',
  title: '',
  goal: '',
  constraints: '',
  acceptance: '',
  endWhenDone: true,
};

const linesOf = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
const optional = <K extends string>(key: K, text: string): Partial<Record<K, string>> =>
  text.trim() === '' ? {} : ({ [key]: text.trim() } as Partial<Record<K, string>>);

const taskOf = (form: StartForm): StartInput['task'] => {
  const constraints = linesOf(form.constraints);
  const acceptance = linesOf(form.acceptance);
  const hasTask =
    form.title.trim() !== '' || form.goal.trim() !== '' || constraints.length > 0 || acceptance.length > 0;
  return hasTask ? { title: form.title.trim(), goal: form.goal.trim(), constraints, acceptance } : undefined;
};

type ScenarioResult = { kind: 'ok'; scenario: Scenario } | { kind: 'bad'; message: string };
export const readScenario = (text: string): ScenarioResult => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    // The parser's words tell where the typing error is.
    return { kind: 'bad', message: `not JSON: ${error instanceof Error ? error.message : 'cannot be read'}` };
  }
  const parsed = Scenario.safeParse(json);
  if (parsed.success) return { kind: 'ok', scenario: parsed.data };
  const issue = parsed.error.issues[0];
  return { kind: 'bad', message: `${issue?.path.join('.') || 'scenario'}: ${issue?.message ?? 'does not fit'}` };
};

const FIELD_OF_PATH: readonly (readonly [string, StartField])[] = [
  ['repository.url', 'repository'],
  ['repository.ref', 'ref'],
  ['repository.roomPath', 'roomPath'],
  ['repository', 'repository'],
  ['provider', 'provider'],
  ['buildId', 'buildId'],
  ['pool', 'pool'],
  ['model', 'model'],
  ['scenario', 'scenario'],
  ['prompt', 'prompt'],
  ['task.title', 'title'],
  ['task.goal', 'goal'],
  ['task.constraints', 'constraints'],
  ['task.acceptance', 'acceptance'],
];
/** The field a path of the request body belongs to; `form` where there is none. */
export const fieldOfPath = (path: string): StartField | 'form' =>
  FIELD_OF_PATH.find(([prefix]) => path === prefix || path.startsWith(`${prefix}.`))?.[1] ?? 'form';

export type StartResult =
  | { readonly kind: 'ok'; readonly body: StartSessionBody }
  | { readonly kind: 'bad'; readonly errors: FieldErrors };

/** The request the form means, checked by the API's own schema, or what to mend at which field. */
export const readStartForm = (form: StartForm, terminal: TerminalSize): StartResult => {
  const errors: FieldErrors = {};
  const scripted = form.model === 'scripted' && form.provider !== 'shell';
  const scenario = scripted ? readScenario(form.scenario) : undefined;
  if (scenario?.kind === 'bad') errors.scenario = scenario.message;
  if (form.repository.trim() === '') errors.repository = 'say which repository to work on';
  const task = taskOf(form);
  if (task?.title === '') errors.title = 'a task needs a title';
  const parsed = StartSessionBody.safeParse({
    provider: form.provider,
    ...(form.provider === 'shell' ? {} : { model: form.model }),
    repository: { url: form.repository.trim(), ...optional('ref', form.ref), ...optional('roomPath', form.roomPath) },
    ...(form.provider === 'shell' ? {} : optional('prompt', form.prompt)),
    ...(task === undefined ? {} : { task }),
    ...(scenario?.kind === 'ok' ? { scenario: scenario.scenario } : {}),
    ...optional('buildId', form.buildId),
    pool: form.pool,
    terminal,
    // Nothing to work through means nothing that could be done: the session then waits for its person.
    endWhenDone: form.provider !== 'shell' && form.endWhenDone && (form.prompt.trim() !== '' || task !== undefined),
  } satisfies StartInput);
  for (const issue of parsed.success ? [] : parsed.error.issues) {
    const field = fieldOfPath(issue.path.join('.'));
    errors[field] ??= issue.message;
  }
  return parsed.success && Object.keys(errors).length === 0
    ? { kind: 'ok', body: parsed.data }
    : { kind: 'bad', errors };
};
