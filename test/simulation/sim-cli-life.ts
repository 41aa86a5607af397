/** How a simulated session boots, is taken up after a crash, and works, on the scripted CLI of its place. */
import { STOPPED } from '../../runner-image/src/session/leaving.ts';
import type { SavedSession } from '../../runner-image/src/session/saved-session.ts';
import { END_STORE_MS } from '../../shared/limits.ts';
import { isFinal, type StateReason } from '../../shared/session.ts';
import { activity } from './cli-activity.ts';
import type { Cli } from './sim-place.ts';
import type { SimSession } from './sim-session.ts';

const LOST: StateReason = { code: 'runner_restarted', message: 'The runner process crashed.' };

/** Of a fresh epoch, or of one whose boot a crash cut short: steps that were done are passed over. */
export const boot = async (session: SimSession): Promise<void> => {
  const { core, options } = session;
  const { place, chance, assign } = options;
  const wait = (maxMs: number) => place.pause(chance.between(5, maxMs));
  core.move({ type: 'PREPARE' });
  const { url: repository } = assign.config.repository;
  session.record({ type: 'workspace_preparing', repository, ref: null, step: 'preparing_workspace' });
  await wait(3_000);
  if (session.isEnding) return;
  const clone = { headCommit: 'a'.repeat(40), branch: 'main', mirror: 'warm', tookMs: 10 } as const;
  session.record({ type: 'workspace_ready', ...clone });
  core.move({ type: 'PREPARED' });
  await wait(2_000);
  if (session.isEnding) return;
  await startCli(session);
};

const startCli = async (session: SimSession): Promise<void> => {
  const { core, options } = session;
  const { place, chance } = options;
  const cli = place.startCli();
  core.freezer.setTarget(place.freezable(cli));
  core.setCliVersion('1.0.0');
  const program = { provider: 'shell', cliVersion: '1.0.0', pid: 7, isolation: 'shared_uid' } as const;
  session.record({ type: 'provider_started', ...program });
  await place.pause(chance.between(5, 500));
  becomeReady(session);
};

const becomeReady = (session: SimSession): void => {
  if (session.isEnding) return;
  session.record({ type: 'provider_ready', tookMs: 5, degraded: false });
  if (session.core.move({ type: 'READY' })) run(session);
};

/** A restarted process takes up what the one before it left. */
export const takeUp = async (session: SimSession, saved: SavedSession): Promise<void> => {
  const { core, options } = session;
  const { place } = options;
  if (saved.isOver || isFinal(saved.state)) {
    session.deliverRest();
    return;
  }
  const { cli } = place;
  if (cli !== null && !cli.isDead) core.freezer.setTarget(place.freezable(cli));
  await place.pause(5);
  if (session.isEnding) return;
  const ending = saved.ending ?? saved.leaving ?? (saved.state === 'stopping' ? STOPPED : null);
  if (ending !== null) void session.end(ending);
  else if (saved.state === 'created' || saved.state === 'preparing_workspace') await boot(session);
  else if (cli !== null && !cli.isDead) await adopt(session, saved);
  else if (saved.state === 'starting_provider') await startCli(session);
  else void session.end({ to: 'failed', reason: LOST });
};

const adopt = async (session: SimSession, saved: SavedSession): Promise<void> => {
  if (saved.state === 'paused_by_human') await session.core.freezer.set('pause', true);
  if (saved.state === 'starting_provider') becomeReady(session);
  else run(session);
};

const run = (session: SimSession): void => {
  session.follow();
  later(session);
};

const later = (session: SimSession): void => {
  const { chance, ports } = session.options;
  ports.clock.after(chance.between(30, chance.is(0.1) ? 30_000 : 4_000), () => look(session));
};

/** What the CLI did since the last look; nothing while it is held. */
const look = (session: SimSession): void => {
  if (session.isEnding) return;
  session.parkWhenDue();
  const { cli } = session.options.place;
  if (cli !== null && !cli.isDead && !cli.isFrozen) work(session, cli);
  if (!session.isEnding) later(session);
};

const work = (session: SimSession, cli: Cli): void => {
  const { core, storage, options } = session;
  const { place, chance, faults } = options;
  place.noteWork();
  if (core.state !== 'running') return;
  place.print(chance.int(1, 4_000));
  if (faults.strikes('clock_skew')) place.skew();
  cli.worked += 1;
  const { drafts, commands, paths } = activity(chance, cli.worked);
  for (let count = 0; count < commands; count += 1) core.countCommand();
  core.countTouched(paths);
  for (const draft of drafts) session.record(draft);
  if (chance.is(0.2)) void storage.chunk(false, END_STORE_MS);
  if (chance.is(0.1)) void storage.checkpoint(END_STORE_MS);
  if (cli.worked < cli.workPlanned) return;
  if (chance.is(0.15)) {
    session.record({ type: 'provider_exited', exitCode: 1, signal: null, expected: false });
    void session.end({ to: 'failed', reason: { code: 'provider_exited', message: 'The CLI ended.' } });
  } else if (cli.endsWhenDone) void session.end({ to: 'completed', reason: { code: 'done', message: 'It is done.' } });
};
