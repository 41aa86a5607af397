/** What a CLI does between two looks, as events: small and large, rows of the ledger, and now and then one that fits no schema. */
import type { EventDraft } from '../../shared/events.ts';
import { EVENT_MAX_BYTES } from '../../shared/limits.ts';
import type { Chance } from './chance.ts';

export interface Activity {
  readonly drafts: readonly EventDraft[];
  readonly commands: number;
  readonly paths: readonly string[];
}

const TOKENS = { inputTokens: 1, outputTokens: 2, cacheReadTokens: 3, cacheWriteTokens: 4, reasoningTokens: 0 };

type Maker = (chance: Chance, turn: number) => EventDraft;
const MAKERS: readonly [Maker, ...Maker[]] = [
  (_chance, turn) => ({ type: 'turn_started', turn, prompt: `prompt ${turn}` }),
  (_chance, turn) => ({ type: 'turn_finished', turn, tookMs: 100 }),
  (chance, turn) => ({
    type: 'provider_message',
    role: 'assistant',
    text: `ü ${turn} ${'x'.repeat(chance.int(0, 300))}`,
  }),
  (chance) => ({ type: 'tool_requested', toolUseId: chance.hex(4), toolName: 'Bash', summary: 'ls' }),
  (chance) => ({ type: 'tool_finished', toolUseId: chance.hex(4), toolName: 'Bash', ok: true, tookMs: 5 }),
  (_chance, turn) => ({ type: 'provider_idle', turnsDone: turn }),
  (chance) => ({
    type: 'model_usage',
    ...{ model: 'scripted', tokens: TOKENS, messageId: chance.hex(6), label: 'estimate' },
  }),
  (chance) => ({ type: 'file_touched', files: [{ path: `src/${chance.int(1, 40)}.ts`, kind: 'modified' }], more: 0 }),
  () => ({ type: 'command_executed', command: 'npm test', exitCode: 0, tookMs: 12 }),
];

/** Many of one size fill a batch by its bytes; one that is too large is stored by its hash. */
const large = (chance: Chance): EventDraft => ({
  type: 'provider_message',
  role: 'assistant',
  text: 'y'.repeat(chance.is(0.1) ? EVENT_MAX_BYTES + 10 : 7_500),
});

export const activity = (chance: Chance, turn: number): Activity => {
  const isBurst = chance.is(0.04);
  const count = isBurst ? chance.int(10, 130) : chance.int(1, 4);
  const drafts = Array.from({ length: count }, () =>
    chance.is(0.02) ? large(chance) : chance.pick(MAKERS)(chance, turn),
  );
  return {
    drafts,
    commands: drafts.filter(({ type }) => type === 'command_executed').length,
    paths: drafts.flatMap((draft) => (draft.type === 'file_touched' ? draft.files.map(({ path }) => path) : [])),
  };
};
