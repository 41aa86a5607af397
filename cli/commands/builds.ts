/** `village builds add` and `list`. */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { Command } from 'commander';
import { z } from 'zod';
import { BuildList } from '../../shared/http.ts';
import { Build, BuildSpec } from '../../shared/releases.ts';
import { CliError } from '../cli-error.ts';
import type { Run } from '../run.ts';

/** Lines of `POST /local/builds`: progress, then one result or one error. */
const ProgressLine = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('progress'), message: z.string() }),
  z.object({ kind: z.literal('result'), build: Build }),
  z.object({
    kind: z.literal('error'),
    code: z.string(),
    message: z.string(),
    requestId: z.string().nullable().optional(),
  }),
]);
/** An install downloads some hundred megabytes. */
const INSTALL_TIMEOUT_MS = 30 * 60_000;

const readBuild = async (response: Response, onProgress: (message: string) => void): Promise<z.infer<typeof Build>> => {
  if (response.body === null) throw new CliError('bad_answer', 'The village answered nothing.');
  for await (const text of createInterface({ input: Readable.from(response.body) })) {
    if (text.trim() === '') continue;
    const line = ProgressLine.parse(JSON.parse(text));
    if (line.kind === 'progress') onProgress(line.message);
    else if (line.kind === 'error') throw new CliError(line.code, line.message, line.requestId ?? null);
    else return line.build;
  }
  throw new CliError('failed', 'The village stopped while it installed the build.');
};

export const addBuilds = (program: Command, run: Run): void => {
  const builds = program.command('builds').description('what sessions run on: pinned CLIs');
  builds
    .command('add <spec>')
    .description('install CLIs and register them as a build, such as claude_code@2.1.330')
    .action(
      run(async ({ output, api }, [given]) => {
        const spec = BuildSpec.safeParse(given);
        if (!spec.success) throw new CliError('usage', `builds add: ${spec.error.issues[0]?.message ?? 'bad spec'}`);
        const signal = AbortSignal.timeout(INSTALL_TIMEOUT_MS);
        const response = await api().open('POST', '/local/builds', { spec: spec.data }, signal);
        const build = await readBuild(response, (message) => output.note(message));
        if (output.json) output.object(build);
        else output.line(build.buildId);
      }),
    );
  builds
    .command('list')
    .description('list builds, newest first')
    .action(
      run(async ({ output, api }) => {
        const list = await api().get('/api/builds', BuildList);
        if (output.json) return output.object(list);
        for (const build of list.builds) {
          const clis = Object.entries(build.clis).map(([provider, version]) => `${provider}@${version}`);
          output.line(`${build.buildId.padEnd(32)} ${build.status.padEnd(12)} ${clis.join(' ')}`);
        }
      }),
    );
};
