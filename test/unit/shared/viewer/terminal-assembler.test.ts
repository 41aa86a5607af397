/** The page's terminal must show the same bytes whatever the gateway does to the frames. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ATTACH_BYTES_MAX, VIEWER_HOLD_MAX_FRAMES, VIEWER_HOLD_MS } from '../../../../shared/limits.ts';
import { type TerminalAction, TerminalAssembler } from '../../../../shared/viewer/terminal-assembler.ts';
import { utf8Length } from '../../../../shared/viewer/utf8.ts';

const SESSION = `ses_${'0'.repeat(26)}`;
const AGENT = `agt_${'0'.repeat(26)}`;

interface Piece {
  readonly text: string;
  readonly cols: number;
}
type Frame = ReturnType<typeof framesOf>[number];

/** Frames of one epoch, as a runner would send them: a size change starts a frame. */
const framesOf = (pieces: readonly Piece[], epoch = 1) => {
  let offset = 0;
  let sizeRev = 0;
  let cols = 0;
  return pieces.map((piece, seq) => {
    if (piece.cols !== cols) sizeRev += 1;
    cols = piece.cols;
    const frame = {
      type: 'terminal_output' as const,
      sessionId: SESSION,
      agentId: AGENT,
      stream: 'stdout' as const,
      epoch,
      offset,
      sizeRev,
      cols,
      rows: 24,
      seq,
      ts: 0,
      data: piece.text,
    };
    offset += utf8Length(piece.text);
    return frame;
  });
};

/** What a terminal that follows the actions would have been given since its last reset, sizes included. */
const transcriptOf = (actions: readonly TerminalAction[]): string => {
  let text = '';
  for (const action of actions) {
    if (action.kind === 'reset' || action.kind === 'divide') text = '';
    else if (action.kind === 'resize') text += `<${action.cols}x${action.rows}>`;
    else if (action.kind === 'write') text += action.data;
  }
  return text;
};
const only = (frames: readonly Frame[]): Frame => {
  const [frame] = frames;
  if (frame === undefined) throw new Error('no frame');
  return frame;
};
const inOrder = (frames: readonly Frame[]): string => {
  const assembler = new TerminalAssembler();
  return transcriptOf(frames.flatMap((frame) => assembler.output(frame, 0)));
};
const snapshotOf = (frames: readonly Frame[], upTo: number, snapshotId: string, parts: number) => {
  const last = frames[upTo - 1];
  const text = frames
    .slice(0, upTo)
    .map((frame) => frame.data)
    .join('');
  const characters = [...text];
  const width = Math.ceil(characters.length / parts);
  return Array.from({ length: parts }, (_, part) => ({
    type: 'terminal_snapshot' as const,
    sessionId: SESSION,
    viewerId: 'viewer-1',
    snapshotId,
    part,
    parts,
    epoch: last?.epoch ?? 1,
    offset: utf8Length(text),
    sizeRev: last?.sizeRev ?? 0,
    cols: last?.cols ?? 80,
    rows: 24,
    data: characters.slice(part * width, (part + 1) * width).join(''),
  }));
};

const piece = fc.record({
  text: fc.string({ unit: fc.constantFrom('a', 'é', '█', '🚀', '\u001b[1m', '\n'), minLength: 1, maxLength: 12 }),
  cols: fc.constantFrom(80, 80, 80, 120),
});
const pieces = fc.array(piece, { minLength: 1, maxLength: 40 });
/** Every frame at least once, some again, in any order. */
const shuffled = pieces.chain((all) => {
  const frames = framesOf(all);
  return fc
    .array(fc.nat({ max: frames.length - 1 }), { maxLength: 30 })
    .chain((again) =>
      fc.shuffledSubarray([...frames.keys(), ...again.map((index) => index + frames.length)], {
        minLength: frames.length + again.length,
      }),
    )
    .map((order) => ({ frames, arrival: order.flatMap((index) => frames[index % frames.length] ?? []) }));
});

describe('order and duplicates', () => {
  it('gives the same bytes and sizes for any order with any duplicates', () => {
    fc.assert(
      fc.property(shuffled, ({ frames, arrival }) => {
        const assembler = new TerminalAssembler();
        const actions = arrival.flatMap((frame) => assembler.output(frame, 0));
        expect(transcriptOf(actions)).toBe(inOrder(frames));
        expect(assembler.behind).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  it('gives the same bytes when frames are cut anew and overlap', () => {
    fc.assert(
      fc.property(
        pieces,
        fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 60 })), { maxLength: 30 }),
        (all, cuts) => {
          const frames = framesOf(all.map(({ text }) => ({ text, cols: 80 })));
          const characters = [...frames.map((frame) => frame.data).join('')];
          const overlapping = cuts.map(([start, length]) => {
            const from = start % characters.length;
            return {
              ...framesOf([{ text: characters.slice(from, from + length).join(''), cols: 80 }])[0],
              offset: utf8Length(characters.slice(0, from).join('')),
            } as Frame;
          });
          const assembler = new TerminalAssembler();
          const actions = [...overlapping, ...frames].flatMap((frame) => assembler.output(frame, 0));
          expect(transcriptOf(actions)).toBe(inOrder(frames));
        },
      ),
    );
  });

  it('shows the same after losses, once the runner answered its re-attaches', () => {
    fc.assert(
      fc.property(shuffled, fc.array(fc.boolean(), { minLength: 70, maxLength: 70 }), ({ frames, arrival }, lost) => {
        const assembler = new TerminalAssembler();
        const actions: TerminalAction[] = [];
        const end = frames.at(-1);
        const endOffset = end === undefined ? 0 : end.offset + utf8Length(end.data);
        for (const [index, frame] of arrival.entries()) {
          if (lost[index] !== true) actions.push(...assembler.output(frame, 0));
        }
        actions.push(...assembler.head({ epoch: 1, offset: endOffset }, 0));
        const due = assembler.tick(VIEWER_HOLD_MS);
        for (const ask of due) {
          if (ask.kind !== 'reattach') continue;
          const fromOffset = ask.from?.offset ?? 0;
          for (const frame of frames) {
            if (frame.offset + utf8Length(frame.data) > fromOffset)
              actions.push(...assembler.output(frame, VIEWER_HOLD_MS));
          }
        }
        expect(transcriptOf(actions)).toBe(inOrder(frames));
      }),
    );
  });
});

describe('snapshots', () => {
  it('joins parts in any order and lets live frames wait', () => {
    fc.assert(
      fc.property(
        pieces,
        fc.nat(),
        fc.integer({ min: 1, max: 6 }),
        fc.infiniteStream(fc.nat(1_000)),
        (all, cut, parts, random) => {
          const frames = framesOf(all.map(({ text }) => ({ text, cols: 80 })));
          const upTo = 1 + (cut % frames.length);
          const sent = [...snapshotOf(frames, upTo, 'snap-1', parts), ...frames.slice(upTo)];
          const arrival = sent.map((frame) => ({ frame, at: random.next().value })).sort((a, b) => a.at - b.at);
          const assembler = new TerminalAssembler();
          const actions = arrival.flatMap(({ frame }) =>
            frame.type === 'terminal_output' ? assembler.output(frame, 0) : assembler.snapshot(frame, 0),
          );
          const text = transcriptOf(actions).replaceAll(/<\d+x\d+>/g, '');
          expect(text).toBe(frames.map((frame) => frame.data).join(''));
        },
      ),
    );
  });

  it('ignores a snapshot of what is already shown', () => {
    const frames = framesOf([{ text: 'hello', cols: 80 }]);
    const assembler = new TerminalAssembler();
    for (const frame of frames) assembler.output(frame, 0);
    expect(snapshotOf(frames, 1, 'late', 1).flatMap((part) => assembler.snapshot(part, 0))).toEqual([]);
  });

  it('asks for one, without an address, after it gave its content up', () => {
    const assembler = new TerminalAssembler();
    for (const frame of framesOf([{ text: 'x'.repeat(ATTACH_BYTES_MAX), cols: 80 }])) assembler.output(frame, 0);
    assembler.forget();
    expect(assembler.address).toBeUndefined();
    assembler.head({ epoch: 1, offset: ATTACH_BYTES_MAX }, 0);
    expect(assembler.tick(VIEWER_HOLD_MS)).toEqual([{ kind: 'reattach', from: undefined }]);
  });
});

describe('holes', () => {
  const [first, second, third] = framesOf([
    { text: 'one', cols: 80 },
    { text: 'two', cols: 80 },
    { text: 'three', cols: 80 },
  ]) as [Frame, Frame, Frame];

  it('holds what lies above for the hold time, then asks from its address, once', () => {
    const assembler = new TerminalAssembler();
    assembler.output(first, 0);
    expect(assembler.output(third, 10)).toEqual([]);
    expect(assembler.tick(10 + VIEWER_HOLD_MS - 1)).toEqual([]);
    expect(assembler.tick(10 + VIEWER_HOLD_MS)).toEqual([{ kind: 'reattach', from: { epoch: 1, offset: 3 } }]);
    expect(assembler.tick(20 + VIEWER_HOLD_MS)).toEqual([]);
    expect(transcriptOf(assembler.output(second, 30 + VIEWER_HOLD_MS))).toBe('twothree');
  });

  it('asks again when the answer itself was lost', () => {
    const assembler = new TerminalAssembler();
    assembler.output(third, 0);
    expect(assembler.tick(VIEWER_HOLD_MS)).toHaveLength(1);
    expect(assembler.tick(VIEWER_HOLD_MS * 6)).toHaveLength(1);
  });

  it('never holds more frames than its cap, and asks at once when it is reached', () => {
    const assembler = new TerminalAssembler();
    const many = framesOf(Array.from({ length: VIEWER_HOLD_MAX_FRAMES + 2 }, () => ({ text: 'x', cols: 80 })));
    const actions = many.slice(1).flatMap((frame) => assembler.output(frame, 0));
    expect(actions.filter((action) => action.kind === 'reattach')).toHaveLength(1);
    const healed = many.slice(0, 1).flatMap((frame) => assembler.output(frame, 1));
    expect(transcriptOf(healed)).toHaveLength('<80x24>'.length + VIEWER_HOLD_MAX_FRAMES + 1);
    expect(assembler.behind).toBe(true);
  });

  it('sees by the head that the last frame was lost', () => {
    const assembler = new TerminalAssembler();
    assembler.output(first, 0);
    expect(assembler.head({ epoch: 1, offset: 6 }, 100)).toEqual([]);
    expect(assembler.tick(100 + VIEWER_HOLD_MS)).toEqual([{ kind: 'reattach', from: { epoch: 1, offset: 3 } }]);
  });

  it('never shows half a character: asks anew instead', () => {
    const assembler = new TerminalAssembler();
    assembler.output({ ...first, data: 'ab' }, 0);
    expect(assembler.output({ ...first, offset: 1, data: '█' }, 0)).toEqual([
      { kind: 'reattach', from: { epoch: 1, offset: 2 } },
    ]);
  });
});

describe('epochs', () => {
  it('starts over with a higher one and drops frames of a lower one', () => {
    const assembler = new TerminalAssembler();
    const old = framesOf([
      { text: 'old', cols: 80 },
      { text: 'er', cols: 80 },
    ]);
    const next = framesOf([{ text: 'new', cols: 100 }], 2);
    const arrival = [...old.slice(0, 1), ...next, ...old.slice(1)];
    expect(transcriptOf(arrival.flatMap((frame) => assembler.output(frame, 0)))).toBe('<100x24>new');
    expect(assembler.address).toEqual({ epoch: 2, offset: 3 });
  });

  it('asks for a higher epoch that only a head told of', () => {
    const assembler = new TerminalAssembler();
    for (const frame of framesOf([{ text: 'old', cols: 80 }])) assembler.output(frame, 0);
    assembler.head({ epoch: 2, offset: 9 }, 0);
    expect(assembler.tick(VIEWER_HOLD_MS)).toEqual([{ kind: 'reattach', from: { epoch: 2, offset: 0 } }]);
  });
});

describe('sizes', () => {
  it('applies a resize that came without bytes', () => {
    const assembler = new TerminalAssembler();
    const [frame] = framesOf([{ text: 'one', cols: 80 }]) as [Frame];
    assembler.output(frame, 0);
    expect(assembler.output({ ...frame, offset: 3, sizeRev: 2, cols: 90, data: '' }, 0)).toEqual([
      { kind: 'resize', cols: 90, rows: 24 },
    ]);
  });
});

describe('a later epoch', () => {
  const kinds = (actions: readonly TerminalAction[]) =>
    actions.map((action) => (action.kind === 'write' ? action.data : action.kind));
  const snapshot = (data: string, epoch: number) => ({
    type: 'terminal_snapshot' as const,
    sessionId: SESSION,
    viewerId: 'viewer',
    epoch,
    snapshotId: `s${epoch}`,
    part: 0,
    parts: 1,
    offset: 40,
    sizeRev: 3,
    cols: 80,
    rows: 24,
    data,
  });

  it('divides what stood there from what comes, bytes or snapshot, and wipes nothing', () => {
    const assembler = new TerminalAssembler();
    expect(kinds(assembler.output(only(framesOf([{ text: 'one', cols: 80 }])), 0))).toEqual(['reset', 'resize', 'one']);
    expect(kinds(assembler.output(only(framesOf([{ text: 'two', cols: 80 }], 2)), 0))).toEqual([
      'divide',
      'resize',
      'two',
    ]);
    expect(kinds(assembler.snapshot(snapshot('\u001bcthree', 3), 0))).toEqual(['divide', 'resize', 'three']);
    expect(assembler.address).toEqual({ epoch: 3, offset: 40 });
  });

  it('keeps no screen that the viewer forgot', () => {
    const assembler = new TerminalAssembler();
    assembler.output(only(framesOf([{ text: 'one', cols: 80 }])), 0);
    assembler.forget();
    expect(kinds(assembler.snapshot(snapshot('\u001bcscreen', 1), 0))).toEqual(['reset', 'resize', 'screen']);
  });

  it('that is known from a late frame first keeps the divider when its snapshot comes', () => {
    const assembler = new TerminalAssembler();
    assembler.output(only(framesOf([{ text: 'one', cols: 80 }])), 0);
    const late = { ...only(framesOf([{ text: 'late', cols: 80 }], 2)), offset: 40 };
    expect(kinds(assembler.output(late, 0))).toEqual(['divide']);
    expect(kinds(assembler.snapshot(snapshot('\u001bcscreen', 2), 0))).toEqual(['resize', 'screen', 'late']);
  });
});
