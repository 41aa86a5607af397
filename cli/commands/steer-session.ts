/** `village sessions send`, `stop`, `pause` and `resume`. */
import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import { Accepted } from '../../shared/http.ts';
import type { Run } from '../run.ts';
import { sessionIdOf } from '../session-id.ts';

const STEPS = [
  ['stop', 'stop the session'],
  ['pause', 'pause the session'],
  ['resume', 'let a paused session go on'],
] as const;

export const addSteerSession = (sessions: Command, run: Run): void => {
  sessions
    .command('send <id> <text>')
    .description('type text into the session, with Enter; "-" reads it from stdin')
    .option('--no-enter', 'type only')
    .action(
      run(async ({ output, api }, [id, given = ''], { enter }) => {
        const data = given === '-' ? await readAll(process.stdin) : given;
        const body = { data, submit: enter !== false };
        const accepted = await api().post(`/api/sessions/${sessionIdOf(id)}/input`, body, Accepted);
        if (output.json) output.object(accepted);
        else output.note('sent');
      }),
    );
  for (const [name, description] of STEPS)
    sessions
      .command(`${name} <id>`)
      .description(description)
      .option('--reason <text>', 'kept with the session')
      .action(
        run(async ({ output, api }, [id], { reason }) => {
          const body = typeof reason === 'string' ? { reason } : {};
          const accepted = await api().post(`/api/sessions/${sessionIdOf(id)}/${name}`, body, Accepted);
          if (output.json) output.object(accepted);
          else output.line(accepted.session.state);
        }),
      );
};
