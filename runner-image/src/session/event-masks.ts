/** Masks secrets in durable events, which are append-only: what is written there once is never taken back. */
import { z } from 'zod';
import { EVENT_BODIES, type EventDraft } from '../../../shared/events.ts';
import { redactor } from '../stream/redactor.ts';

const isFitting = (draft: EventDraft): boolean => z.looseObject(EVENT_BODIES[draft.type]).safeParse(draft).success;

interface Masks {
  readonly mask: (text: string) => { text: string; count: number };
  /** Whether the event is still one with the leaf that was just masked. */
  readonly isStillFitting: () => boolean;
}

/** Changes `holder` in place; returns how many secrets were masked. */
const maskLeaves = (holder: object, masks: Masks): number => {
  let count = 0;
  for (const [key, value] of Object.entries(holder)) {
    if (typeof value === 'object' && value !== null) count += maskLeaves(value, masks);
    if (typeof value !== 'string' || key === 'type') continue;
    const masked = masks.mask(value);
    if (masked.count === 0) continue;
    Reflect.set(holder, key, masked.text);
    if (masks.isStillFitting()) count += masked.count;
    // A word of a closed list (a state, an id): it came from nobody's text, and without it the event would be lost.
    else Reflect.set(holder, key, value);
  }
  return count;
};

/**
 * The event with every secret in its texts masked, also one that was cut at the text's end, and how many there were.
 * Texts never get longer, so that what fitted still fits.
 */
export const maskedEvent = (draft: EventDraft, secrets: readonly string[]): { event: EventDraft; count: number } => {
  const mask = (text: string) => {
    const masks = redactor(secrets);
    const [first, rest] = [masks.push(text), masks.flush()];
    return { text: (first.text + rest.text).slice(0, text.length), count: first.redactions + rest.redactions };
  };
  const event = structuredClone(draft);
  let didFit: boolean | undefined;
  const isStillFitting = () => {
    didFit ??= isFitting(draft);
    return !didFit || isFitting(event);
  };
  const count = maskLeaves(event, { mask, isStillFitting });
  return count === 0 ? { event: draft, count } : { event, count };
};
