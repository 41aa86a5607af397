/** The chaos switch of the local platform: seeded faults that AWS may show any day, so that every test can run under them. */

/** Longest delay that `reorder` puts on one message or post. */
export const REORDER_MAX_MS = 50;
/** Longest wait that `cold` puts before an invocation (facts: Node init 200 to 350 ms p50). */
export const COLD_START_MAX_MS = 350;

export const CHAOS_KINDS = ['reorder', 'duplicate', 'drop', 'throttle', 'cut', 'cold'] as const;
/**
 * reorder: delayed, so that later ones overtake · duplicate: delivered twice · drop: lost without an error · throttle: refused as
 * too many · cut: the socket breaks · cold: a cold start before an invocation.
 */
export type ChaosKind = (typeof CHAOS_KINDS)[number];
export type ChaosSettings = { readonly seed: number } & Readonly<Record<ChaosKind, number>>;

export interface Chaos {
  readonly settings: ChaosSettings;
  /** Whether the fault strikes this time at `point`; the n-th answer of a (kind, point) depends on the seed alone. */
  strikes(kind: ChaosKind, point: string): boolean;
  /** Milliseconds to hold back at `point`: 0 where `reorder` does not strike, else 1 to REORDER_MAX_MS. */
  reorderMs(point: string): number;
  /** Milliseconds of cold start at `point`: 0 where `cold` does not strike, else 50 to COLD_START_MAX_MS. */
  coldStartMs(point: string): number;
}

export const CALM: ChaosSettings = {
  seed: 1,
  reorder: 0,
  duplicate: 0,
  drop: 0,
  throttle: 0,
  cut: 0,
  cold: 0,
};

export type ParsedChaos =
  | { readonly ok: true; readonly settings: ChaosSettings }
  | { readonly ok: false; readonly message: string };

const isKind = (name: string): name is ChaosKind => CHAOS_KINDS.some((kind) => kind === name);
const SEED_MAX = 2 ** 32 - 1;

function faultOf(name: string, value: string): string | null {
  const number = Number(value);
  if (value.trim() === '' || Number.isNaN(number)) return `"${name}=${value}": ${name} needs a number.`;
  if (name === 'seed')
    return Number.isInteger(number) && number >= 0 && number <= SEED_MAX
      ? null
      : `"seed=${value}": the seed is a whole number from 0 to ${SEED_MAX}.`;
  if (!isKind(name)) return `"${name}" is no chaos setting: use seed, ${CHAOS_KINDS.join(', ')}.`;
  return number >= 0 && number <= 1
    ? null
    : `"${name}=${value}": ${name} is a probability from 0 to 1, such as ${name}=0.2.`;
}

/** Reads `seed=7,reorder=0.2,duplicate=0.1`; what is not named is calm. An error says which part and what it should be. */
export function parseChaos(text: string): ParsedChaos {
  const settings: Record<string, number> = {};
  for (const part of text.split(',').map((piece) => piece.trim())) {
    if (part === '') continue;
    const [name = '', value, ...rest] = part.split('=');
    if (value === undefined || rest.length > 0)
      return { ok: false, message: `"${part}": write name=number, such as reorder=0.2.` };
    if (settings[name] !== undefined) return { ok: false, message: `"${name}" is named twice.` };
    const message = faultOf(name, value);
    if (message !== null) return { ok: false, message };
    settings[name] = Number(value);
  }
  return { ok: true, settings: { ...CALM, ...settings } };
}

/** FNV-1a: spreads a point's name over 32 bits, so that each point has a series of its own. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** mulberry32: the same seed gives the same series in [0, 1) on every machine. */
export function seededSeries(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Makes the decisions of one run. Each (kind, point) draws from its own series: what happens at one point then does not depend on
 * how often another was asked, which timing decides.
 */
export function createChaos(settings: ChaosSettings = CALM): Chaos {
  const series = new Map<string, () => number>();
  const draw = (kind: ChaosKind, point: string): number => {
    const name = `${kind}/${point}`;
    let next = series.get(name);
    if (next === undefined) {
      next = seededSeries((settings.seed ^ hashOf(name)) >>> 0);
      series.set(name, next);
    }
    return next();
  };
  const strikes = (kind: ChaosKind, point: string): boolean => settings[kind] > 0 && draw(kind, point) < settings[kind];
  const between = (kind: ChaosKind, point: string, min: number, max: number): number =>
    strikes(kind, point) ? min + Math.floor(draw(kind, point) * (max - min + 1)) : 0;
  return {
    settings,
    strikes,
    reorderMs: (point) => between('reorder', point, 1, REORDER_MAX_MS),
    coldStartMs: (point) => between('cold', point, 50, COLD_START_MAX_MS),
  };
}
