/** `village runners`: machines of one's own that run sessions. */
import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import pc from 'picocolors';
import { z } from 'zod';
import {
  IDEMPOTENCY_HEADER,
  RegisterRunnerBody,
  RunnerAnswer,
  type RunnerInfo,
  RunnerList,
  RunnerRegistered,
} from '../../shared/http.ts';
import { RunnerId } from '../../shared/ids.ts';
import { RUNNER_SESSIONS_DEFAULT } from '../../shared/limits.ts';
import { everyRunner } from '../../shared/runner-pages.ts';
import { CliError } from '../cli-error.ts';
import type { Run } from '../run.ts';
import { table } from '../table.ts';
import { ageText } from './read-sessions.ts';

const RegisterOptions = z.object({
  group: z.string(),
  name: z.string().optional(),
  maxSessions: z.coerce.number().optional(),
});

const runnerIdOf = (id: string | undefined): string => {
  const parsed = RunnerId.safeParse(id);
  if (!parsed.success) throw new CliError('not_found', `"${id ?? ''}" is no runner: village runners list shows them.`);
  return parsed.data;
};

const seenText = ({ lastSeenAt, connectedAt }: RunnerInfo, nowMs: number): string => {
  const since = lastSeenAt ?? connectedAt;
  return since === null ? 'never' : `${ageText(since, nowMs)} ago`;
};
const clisText = ({ clis }: RunnerInfo): string =>
  Object.entries(clis)
    .map(([provider, version]) => `${provider}@${version}`)
    .join(' ');
const heldText = ({ kind, sessions, sessionId, capacity }: RunnerInfo): string =>
  kind === 'customer' ? `${sessions.length}/${capacity}` : (sessionId ?? '');

/** One line for each runner, the groups of one's own first. */
export const runnerLines = (runners: readonly RunnerInfo[], nowMs: number): string[] =>
  table([
    ['RUNNER', 'NAME', 'POOL', 'STATE', 'SESSIONS', 'SEEN', 'VERSION', 'CLIS'],
    ...runners.map((one) => [
      one.runnerId,
      one.name ?? '',
      one.group ?? 'hosted',
      one.state,
      heldText(one),
      seenText(one, nowMs),
      one.runnerVersion,
      clisText(one),
    ]),
  ]);

const addRegister = (runners: Command, run: Run): void => {
  runners
    .command('register')
    .description('print the one command that runs a runner elsewhere')
    .requiredOption('--group <name>', 'pool that sessions name to run on it')
    .option('--max-sessions <n>', 'sessions it may hold at once', String(RUNNER_SESSIONS_DEFAULT))
    .option('--name <text>', 'for people')
    .action(
      run(async ({ output, api }, _args, options) => {
        const body = RegisterRunnerBody.safeParse(RegisterOptions.parse(options));
        if (!body.success) throw new CliError('usage', `runners register: ${z.prettifyError(body.error)}`);
        const headers = { [IDEMPOTENCY_HEADER]: randomUUID() };
        const registered = await api().post('/api/runners/registrations', body.data, RunnerRegistered, headers);
        if (output.json) return output.object(registered);
        output.note(`Run this where the sessions are to run; it works once, until ${registered.expiresAt}:`);
        output.line(registered.command);
        output.note(pc.dim('or, in a container:'));
        output.note(pc.dim(registered.containerCommand));
      }),
    );
};

export const addRunners = (program: Command, run: Run): void => {
  const runners = program.command('runners').description('machines of your own that run sessions');
  addRegister(runners, run);
  runners
    .command('list')
    .description('list runners: your own, and the tasks of your sessions')
    .action(
      run(async ({ output, api }) => {
        const list = { runners: await everyRunner((page) => api().get(page, RunnerList)) };
        if (output.json) return output.object(list);
        if (list.runners.length === 0) return output.note('No runners: village runners register --group <name>');
        for (const line of runnerLines(list.runners, Date.now())) output.line(line);
      }),
    );
  runners
    .command('drain <id>')
    .description('let a runner give its sessions back and end; they go on elsewhere')
    .action(
      run(async ({ output, api }, [id]) => {
        const answer = await api().post(`/api/runners/${runnerIdOf(id)}/drain`, {}, RunnerAnswer);
        if (output.json) return output.object(answer);
        output.line(answer.runner.state);
      }),
    );
  runners
    .command('revoke <id>')
    .description('cut a runner off at once; its sessions go on elsewhere, from their last checkpoint')
    .action(
      run(async ({ output, api }, [id]) => {
        const answer = await api().delete(`/api/runners/${runnerIdOf(id)}`, RunnerAnswer);
        if (output.json) return output.object(answer);
        output.line(answer.runner.state);
      }),
    );
};
