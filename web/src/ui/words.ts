/** Machine words as people read them: states, ages, durations, sizes, repositories. */
import { PROVIDERS, type ProviderId } from '../../../shared/providers.ts';
import type { BootStep, SessionState } from '../../../shared/session.ts';

export const STATE_WORDS: Readonly<Record<SessionState, string>> = {
  created: 'Starting',
  preparing_workspace: 'Preparing workspace',
  starting_provider: 'Starting agent',
  running: 'Running',
  waiting_for_approval: 'Waits for approval',
  paused_by_human: 'Paused',
  stopping: 'Stopping',
  completed: 'Completed',
  failed: 'Failed',
};
export const STEP_WORDS: Readonly<Record<BootStep, string>> = {
  launching: 'Launching a runner',
  connecting: 'Connecting',
  preparing_workspace: 'Preparing the workspace',
  starting_provider: 'Starting the agent',
  proving_gate: 'Proving the approval gate',
};
export const providerName = (provider: ProviderId): string => PROVIDERS[provider].displayName;

/** `12 s`, `3 min 4 s`, `2 h 5 min`, `4 d 1 h`: at most two units. */
export const durationWords = (durationMs: number): string => {
  const seconds = Math.max(0, Math.floor(durationMs / 1_000));
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3_600), Math.floor(seconds / 86_400)];
  const pair = (big: number, bigUnit: string, small: number, smallUnit: string) =>
    small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return pair(minutes, 'min', seconds % 60, 's');
  if (days === 0) return pair(hours, 'h', minutes % 60, 'min');
  return pair(days, 'd', hours % 24, 'h');
};
/** One unit, for a list: `now`, `8 s`, `3 min`, `2 h`, `4 d`. */
export const ageWords = (ageMs: number): string => {
  if (ageMs < 2_000) return 'now';
  return durationWords(ageMs).split(' ').slice(0, 2).join(' ');
};
export const agoWords = (ageMs: number): string => (ageMs < 2_000 ? 'now' : `${ageWords(ageMs)} ago`);
/** Tenths below ten seconds: a boot step is often shorter than one. */
export const elapsedWords = (elapsedMs: number): string =>
  elapsedMs < 10_000 ? `${(Math.max(0, elapsedMs) / 1_000).toFixed(1)} s` : durationWords(elapsedMs);

/** `12:03`. */
export const clockWords = (atMs: number): string =>
  new Date(atMs).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

export const sizeWords = (sizeBytes: number): string => {
  if (sizeBytes < 1_024) return `${sizeBytes} B`;
  const units = ['KiB', 'MiB', 'GiB'];
  let value = sizeBytes / 1_024;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
};

/** `owner/name` or the last two folders: enough to recognise it; the full address stands in the facts. */
export const repositoryName = (url: string): string => {
  const path = url
    .replace(/^[a-z]+:\/\/[^/]*/, '')
    .replace(/^[\w.-]+@[\w.-]+:/, '')
    .replace(/\.git\/?$/, '')
    .replace(/\/+$/, '');
  return path.split('/').filter(Boolean).slice(-2).join('/') || url;
};
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
/** Schemas and adapters speak in halves of sentences; alone in a line they begin with a capital. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
