import { beforeEach, describe, expect, it } from 'vitest';
import { factOf } from '../../../../../runner-image/src/adapters/claude-code/transcript.ts';
import { countTurns, type Turns } from '../../../../../runner-image/src/adapters/claude-code/turns.ts';

let seen: string[];
let nowMs: number;
let turns: Turns;
beforeEach(() => {
  seen = [];
  nowMs = 1_000;
  turns = countTurns(
    (event) => {
      if (event.type === 'TURN_STARTED') seen.push(`start ${event.turn} ${event.prompt}`);
      if (event.type === 'TURN_FINISHED') seen.push(`end ${event.turn} ${event.outcome} ${event.tookMs}`);
      if (event.type === 'PROVIDER_IDLE') seen.push(`idle ${event.turnsDone}`);
      if (event.type === 'PROVIDER_MESSAGE') seen.push(`said ${event.text}`);
    },
    () => nowMs,
  );
});

describe('countTurns', () => {
  it('counts a turn and says when the agent is idle, once', () => {
    turns.submit('a');
    nowMs += 5;
    turns.finish('done');
    turns.finish('done');
    turns.abandon();
    expect(seen).toEqual(['start 1 a', 'end 1 done 5', 'idle 1']);
  });

  it('starts a waiting prompt at the end of the turn, and is idle after the last', () => {
    for (const prompt of ['a', 'b', 'c']) turns.submit(prompt);
    turns.leftQueue('b');
    turns.leftQueue('b');
    turns.finish('done');
    turns.finish('done');
    expect(seen).toEqual(['start 1 a', 'said b', 'said c', 'end 1 done 0', 'start 2 c', 'end 2 done 0', 'idle 2']);
  });

  it('gives waiting prompts back at an interruption, but not those that came after it', () => {
    turns.submit('a');
    turns.submit('b');
    turns.finish('interrupted', nowMs - 1);
    expect(turns.isOpen).toBe(true);
    nowMs += 10;
    turns.submit('c');
    turns.finish('interrupted', nowMs - 5);
    expect(seen.slice(3)).toEqual(['end 1 interrupted 10', 'start 2 c']);
    turns.submit('d');
    turns.finish('interrupted');
    expect(seen.slice(-2)).toEqual(['end 2 interrupted 0', 'idle 2']);
  });

  it('is not idle when the CLI is gone', () => {
    turns.submit('a');
    turns.submit('b');
    turns.abandon();
    expect(seen.at(-1)).toBe('end 1 interrupted 0');
  });
});

describe('factOf', () => {
  it('reads what the hooks do not tell', () => {
    const line = (value: object) => factOf(JSON.stringify(value));
    expect(line({ type: 'queue-operation', operation: 'remove', content: 'b', reason: 'absorbed_mid_turn' })).toEqual({
      kind: 'left_queue',
      prompt: 'b',
    });
    expect(line({ type: 'queue-operation', operation: 'popAll' })).toEqual({ kind: 'left_queue' });
    expect(line({ type: 'queue-operation', operation: 'enqueue', content: 'b' })).toBeUndefined();
    expect(line({ type: 'queue-operation', operation: 'dequeue' })).toBeUndefined();
    const timestamp = '2026-11-22T09:01:50.422Z';
    expect(
      line({ type: 'user', timestamp, message: { content: '[Request interrupted by user for tool use]' } }),
    ).toEqual({
      kind: 'interrupted',
      atMs: Date.parse(timestamp),
    });
    expect(line({ type: 'user', message: { content: 'hello' } })).toBeUndefined();
    for (const other of ['', '{', 'null', '{"type":"assistant","message":{"id":7}}', '{"type":"summary"}'])
      expect(factOf(other)).toBeUndefined();
  });
});
