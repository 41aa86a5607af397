/** `village sessions start` */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import pc from 'picocolors';
import { z } from 'zod';
import { IDEMPOTENCY_HEADER, SessionStarted, StartSessionBody } from '../../shared/http.ts';
import { SCENARIO_MAX_BYTES } from '../../shared/limits.ts';
import { ProviderId } from '../../shared/providers.ts';
import { Scenario } from '../../shared/scenario.ts';
import { CliError } from '../cli-error.ts';
import { repositoryAddress } from '../repository.ts';
import type { Run } from '../run.ts';

const Options = z.object({
  provider: z.string().default('claude_code'),
  model: z.string().optional(),
  scenario: z.string().optional(),
  repo: z.string().default('.'),
  ref: z.string().optional(),
  branch: z.string().optional(),
  room: z.string().optional(),
  prompt: z.string().optional(),
  title: z.string().optional(),
  goal: z.string().optional(),
  build: z.string().optional(),
  pool: z.string().optional(),
  keepOpen: z.boolean().default(false),
});
export type StartOptions = z.infer<typeof Options>;
const TITLE_MAX_CHARS = 80;

const readScenario = (path: string): unknown => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new CliError('usage', `--scenario: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (text.length > SCENARIO_MAX_BYTES)
    throw new CliError('usage', `--scenario: ${path} is larger than ${SCENARIO_MAX_BYTES} bytes.`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CliError('usage', `--scenario: ${path} is not JSON: ${error instanceof Error ? error.message : error}`);
  }
};

const taskOf = ({ title, goal }: StartOptions) => {
  if (title === undefined && goal === undefined) return undefined;
  return { title: title ?? (goal ?? '').slice(0, TITLE_MAX_CHARS), ...(goal === undefined ? {} : { goal }) };
};

/** The request of these options. Throws CliError usage that names what does not fit. */
export const startBody = (options: StartOptions, cwd: string): StartSessionBody => {
  if (options.ref !== undefined && options.branch !== undefined)
    throw new CliError('usage', '--ref and --branch are the same: give one.');
  const scenario = options.scenario === undefined ? undefined : Scenario.safeParse(readScenario(options.scenario));
  if (scenario?.success === false)
    throw new CliError('usage', `--scenario: ${options.scenario}: ${z.prettifyError(scenario.error)}`);
  const body = StartSessionBody.safeParse({
    provider: options.provider,
    model: options.model ?? (scenario === undefined ? undefined : 'scripted'),
    repository: {
      url: repositoryAddress(options.repo, cwd),
      ref: options.ref ?? options.branch,
      roomPath: options.room,
    },
    prompt: options.prompt,
    task: taskOf(options),
    scenario: scenario?.data,
    buildId: options.build,
    pool: options.pool,
    endWhenDone: options.keepOpen ? false : undefined,
  });
  if (!body.success) throw new CliError('usage', `sessions start: ${z.prettifyError(body.error)}`);
  return body.data;
};

export const addStartSession = (sessions: Command, run: Run): void => {
  sessions
    .command('start')
    .description('start a session; prints its id')
    .option('--provider <id>', `one of ${ProviderId.options.join(', ')}`, 'claude_code')
    .option('--model <name>', 'model of the provider; "scripted" needs --scenario and no key')
    .option('--scenario <file>', 'JSON file of the scripted model')
    .option('--repo <path or URL>', 'git repository', '.')
    .option('--ref <name>', 'branch, tag or commit (default: the HEAD of the repository)')
    .option('--branch <name>', 'the same as --ref')
    .option('--room <path>', 'top folder the agent works in')
    .option('--prompt <text>', 'what the agent is told')
    .option('--title <text>', 'title of the task')
    .option('--goal <text>', 'goal of the task')
    .option('--build <id>', 'build to run on (default: the newest that has the provider)')
    .option('--pool <name>', 'where it runs: a group of your own runners (default: hosted)')
    .option('--keep-open', 'stay open when the prompt is done')
    .action(
      run(async ({ output, api }, _args, options) => {
        const body = startBody(Options.parse(options), process.cwd());
        const started = await api().post('/api/sessions', body, SessionStarted, { [IDEMPOTENCY_HEADER]: randomUUID() });
        if (output.json) return output.object(started);
        output.line(started.sessionId);
        const { queuePosition, pool } = started.session;
        if (queuePosition !== null)
          output.note(`no runner of ${pool} is free: it waits at position ${queuePosition} and starts by itself`);
        output.note(pc.dim(`watch it: village sessions attach ${started.sessionId}`));
      }),
    );
};
