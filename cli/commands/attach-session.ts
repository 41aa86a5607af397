/** `village sessions attach`: this terminal becomes the session's, and is given back as it was on every way out. */
import type { Command } from 'commander';
import pc from 'picocolors';
import { isFinal } from '../../shared/session.ts';
import { dividerText, FULL_RESET } from '../../shared/viewer/drawing.ts';
import { createQueryFilter } from '../../shared/viewer/query-filter.ts';
import type { TerminalSink } from '../../shared/viewer/stream-terminal.ts';
import { CliError, EXIT } from '../cli-error.ts';
import type { CommandContext } from '../context.ts';
import type { Run } from '../run.ts';
import { sessionIdOf } from '../session-id.ts';
import { createDetachKeys, type Offer } from '../viewer/detach-keys.ts';
import { viewerLine } from '../viewer/dial.ts';
import { type LocalTerminal, takeTerminal } from '../viewer/local-terminal.ts';
import { offersOf, seatWords } from '../viewer/seat-words.ts';
import { ViewerClient } from '../viewer/viewer-client.ts';

/** The last bytes of a session that ended may still be on their way. */
const LAST_BYTES_MS = 1_500;

const choose = (viewer: ViewerClient, offer: Offer): void => {
  if (offer === 'ask') viewer.askControl();
  else if (offer === 'take') viewer.takeControl();
  else viewer.answerControl(offer === 'allow');
};

/** The title bar, so that the screen itself stays the session's; a bell where an answer is waited for. */
const titleBar = (stdout: NodeJS.WriteStream, sessionId: string) => {
  let shown = '';
  return (words: string, rings = false): void => {
    if (!stdout.isTTY || words === shown) return;
    shown = words;
    stdout.write(`\x1b]2;${sessionId} · ${words}\x07${rings ? '\x07' : ''}`);
  };
};

/** Connects terminal and viewer until detach, end of the session or a signal. Returns why. */
const relay = async (
  viewer: ViewerClient,
  local: LocalTerminal,
  ended: Promise<string>,
  offers: () => readonly Offer[],
): Promise<string> => {
  const left = Promise.withResolvers<string>();
  const detachKeys = createDetachKeys(offers);
  const onInput = (text: string): void => {
    const { data, detach, chosen } = detachKeys(text);
    if (data !== '') viewer.input(data);
    for (const offer of chosen) choose(viewer, offer);
    if (detach) left.resolve('detached');
  };
  const onResize = (): void => viewer.resize(local.size());
  const onSignal = (): void => left.resolve('cancelled');
  process.stdin.on('data', onInput);
  process.stdout.on('resize', onResize);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, onSignal);
  try {
    return await Promise.race([left.promise, ended, viewer.done.then(() => 'closed')]);
  } finally {
    process.stdin.off('data', onInput);
    process.stdout.off('resize', onResize);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, onSignal);
  }
};

/** This terminal as the stream's: what it would answer is taken out; its size is its own. */
const screenOf = (stdout: NodeJS.WriteStream): TerminalSink => {
  let filter = createQueryFilter();
  return {
    apply(actions) {
      for (const action of actions) {
        if (action.kind === 'write') stdout.write(filter(action.data));
        if (action.kind !== 'reset' && action.kind !== 'divide') continue;
        filter = createQueryFilter();
        stdout.write(action.kind === 'reset' ? FULL_RESET : dividerText({ ...action, rows: stdout.rows }));
      }
    },
    // Node writes to a terminal at once: nothing waits that could be dropped.
    clear() {},
    pendingChars: () => 0,
  };
};

const attach = async (context: CommandContext, sessionId: string, isWatching: boolean, takeOver: boolean) => {
  const local = takeTerminal();
  const ended = Promise.withResolvers<string>();
  const notes: string[] = [];
  const title = titleBar(process.stdout, sessionId);
  let offers: readonly Offer[] = [];
  const viewer = new ViewerClient({
    line: viewerLine(context.api()),
    sessionId,
    mode: isWatching ? 'watch' : 'control',
    takeOver,
    size: local.size(),
    terminal: screenOf(process.stdout),
    onAttached(frame) {
      if (isFinal(frame.session.state)) ended.resolve(frame.session.state);
      if (!isWatching && frame.mode === 'watch')
        notes.push('somebody else led the session, so you watched: --take-over takes the lead');
      viewer.resize(local.size());
    },
    onStateChange({ toState }) {
      if (isFinal(toState)) setTimeout(() => ended.resolve(toState), LAST_BYTES_MS);
    },
    onInputLost: (reason) => notes.push(`some keys did not reach the session (${reason})`),
    onSeat: (view) => {
      offers = offersOf(view);
      if (view.socket.kind === 'open') title(seatWords(view), view.askedBy !== null);
    },
    onConnection: (state, why) => {
      if (state === 'reconnecting') title(`reconnecting: ${why}; what you type is kept`);
    },
  });
  try {
    return { why: await relay(viewer, local, ended.promise, () => offers), notes };
  } finally {
    viewer.close();
    local.restore();
  }
};

export const addAttachSession = (sessions: Command, run: Run): void => {
  sessions
    .command('attach <id>')
    .description(
      'work in the session; ctrl-] or ctrl-p ctrl-q leaves it running; the title bar says who leads and how to ask',
    )
    .option('--watch', 'look only')
    .option('--take-over', 'lead it even if somebody else does')
    .action(
      run(async (context, [id], options) => {
        if (context.output.json) throw new CliError('usage', 'attach has no --json: see sessions logs --json.');
        const sessionId = sessionIdOf(id);
        const { why, notes } = await attach(context, sessionId, options.watch === true, options.takeOver === true);
        for (const note of notes) context.output.note(pc.yellow(note));
        context.output.note(pc.dim(why === 'detached' ? `detached, ${sessionId} goes on` : why));
        if (why === 'cancelled') return EXIT.cancelled;
        return why === 'failed' ? EXIT.failed : EXIT.ok;
      }),
    );
};
