/** `village sessions replay`: what a session printed, played here with its pauses, or written as an asciicast that any player takes. */
import type { Command } from 'commander';
import pc from 'picocolors';
import { z } from 'zod';
import { systemClock } from '../../shared/clock.ts';
import { CAST_IDLE_LIMIT_MS } from '../../shared/limits.ts';
import { SessionView, type StreamAddress, type TerminalSize } from '../../shared/session.ts';
import { FULL_RESET } from '../../shared/viewer/drawing.ts';
import { createQueryFilter } from '../../shared/viewer/query-filter.ts';
import { storedChunks } from '../../shared/viewer/transcript-source.ts';
import { TranscriptWalk, type WalkStep } from '../../shared/viewer/transcript-walk.ts';
import { CliError, EXIT } from '../cli-error.ts';
import type { CommandContext } from '../context.ts';
import type { Run } from '../run.ts';
import { sessionIdOf } from '../session-id.ts';
import { castLines, writeCastFile } from '../viewer/cast-file.ts';
import { takeTerminal } from '../viewer/local-terminal.ts';
import { ReplayPlayer } from '../viewer/replay-player.ts';
import { transcriptSource } from '../viewer/transcript.ts';

const STDOUT = '-';
const SPEED_MAX = 1_000;

const ReplayOptions = z.object({
  cast: z.string().min(1).optional(),
  speed: z.coerce.number().min(0.1).max(SPEED_MAX),
  idle: z.coerce
    .number()
    .min(0)
    .max(24 * 60 * 60),
  from: z
    .string()
    .regex(/^\d{1,6}:\d{1,15}$/, 'expected epoch:offset, such as 1:0')
    .transform((text): StreamAddress => {
      const [epoch = 1, offset = 0] = text.split(':').map(Number);
      return { epoch, offset };
    }),
});
type ReplayOptions = z.infer<typeof ReplayOptions>;

const exportCast = async ({ api, output }: CommandContext, view: SessionView, options: ReplayOptions, path: string) => {
  let unreadable = 0;
  const lines = castLines(api(), view, options.from, () => {
    unreadable += 1;
  });
  if (path === STDOUT) for await (const text of lines) output.raw(text);
  else await writeCastFile(path, lines);
  if (unreadable > 0)
    output.note(pc.yellow(`${unreadable} pieces of the transcript could not be read: they are left out.`));
  if (path !== STDOUT) output.note(`${path} is written: any asciicast player plays it, such as asciinema play ${path}`);
};

const LEAVING_KEYS = ['q', '\u0003', '\u0004'];

/** Space stops and goes on, q or ctrl-c leaves. */
const keysOf = (abort: AbortController) => {
  let gate: PromiseWithResolvers<void> | null = null;
  const open = (): void => {
    gate?.resolve();
    gate = null;
  };
  abort.signal.addEventListener('abort', open);
  const onKey = (text: string): void => {
    if (LEAVING_KEYS.some((key) => text.includes(key))) abort.abort(text.includes('q') ? 'left' : 'cancelled');
    else if (text.includes(' ') && gate === null) gate = Promise.withResolvers();
    else if (text.includes(' ')) open();
  };
  return { onKey, resumed: () => gate?.promise ?? Promise.resolve() };
};

/** This terminal keeps its own size: what is drawn for a larger one would come out wrong, and that is said. */
const drawingOn = (stdout: NodeJS.WriteStream, size: () => TerminalSize, note: (text: string) => void) => {
  let filter = createQueryFilter();
  return (step: WalkStep): void => {
    if (step.kind !== 'write' && stdout.isTTY) {
      const { cols, rows } = size();
      if (step.cols > cols || step.rows > rows)
        note(`it was drawn for ${step.cols}×${step.rows}, this terminal is ${cols}×${rows}: make it larger`);
    }
    if (step.kind === 'begin') {
      filter = createQueryFilter();
      stdout.write(`${step.data.startsWith(FULL_RESET) ? '' : FULL_RESET}${filter(step.data)}`);
    } else if (step.kind === 'write') stdout.write(filter(step.data));
  };
};

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const playHere = async (
  { api, output }: CommandContext,
  view: SessionView,
  options: ReplayOptions,
): Promise<number> => {
  const { stdin, stdout } = process;
  const local = takeTerminal();
  const abort = new AbortController();
  const { onKey, resumed } = keysOf(abort);
  const notes = new Set<string>();
  const { speed, idle, from } = options;
  const draw = drawingOn(stdout, local.size, (text) => notes.add(text));
  const player = new ReplayPlayer({
    ...{ clock: systemClock, speed, idleMs: idle * 1_000, signal: abort.signal, resumed, draw },
  });
  const walk = new TranscriptWalk();
  const onSignal = (): void => abort.abort('cancelled');
  for (const signal of SIGNALS) process.once(signal, onSignal);
  if (stdin.isTTY) stdin.on('data', onKey);
  let played = 0;
  try {
    for await (const { chunk } of storedChunks(transcriptSource(api(), view.sessionId), from)) {
      if (abort.signal.aborted) break;
      if (chunk === null) notes.add('some pieces of the transcript could not be read');
      else await player.play(walk.next(chunk));
      played += 1;
    }
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
    stdin.off('data', onKey);
    local.restore();
  }
  if (played === 0 && !abort.signal.aborted) notes.add('nothing of it is stored yet from there on');
  for (const note of notes) output.note(pc.yellow(note));
  return abort.signal.reason === 'cancelled' ? EXIT.cancelled : EXIT.ok;
};

export const addReplaySession = (sessions: Command, run: Run): void => {
  sessions
    .command('replay <id>')
    .description('play what a session printed (space: stop and go on, q: leave), or write it as an asciicast')
    .option('--cast <file>', 'write an asciicast v2 file instead (- is the standard output)')
    .option('--speed <n>', 'times as fast', '1')
    .option(
      '--idle <seconds>',
      'longest pause that is played; a file keeps them all',
      String(CAST_IDLE_LIMIT_MS / 1_000),
    )
    .option('--from <epoch:offset>', 'begin with the piece that holds this address', '1:0')
    .action(
      run(async (context, [id], given) => {
        if (context.output.json) throw new CliError('usage', 'replay has no --json: --cast - gives JSON lines.');
        const parsed = ReplayOptions.safeParse(given);
        if (!parsed.success) throw new CliError('usage', `sessions replay: ${z.prettifyError(parsed.error)}`);
        const view = await context.api().get(`/api/sessions/${sessionIdOf(id)}`, SessionView);
        const { cast } = parsed.data;
        if (cast === undefined) return playHere(context, view, parsed.data);
        return exportCast(context, view, parsed.data, cast);
      }),
    );
};
