/** One file of a patch: highlighted where the highlighter loads and the patch is not huge, plain at once and otherwise. */
import { Component, lazy, type ReactNode, Suspense, useMemo, useState } from 'react';
import { Button } from '../ui/button.tsx';
import { type PatchHunk, type PatchLine, parsePatch } from './patch.ts';

/** Lines in the document at once: a patch may have thousands. */
const LINES_STEP = 800;

const ROW: Readonly<Record<PatchLine['kind'], string>> = {
  added: 'bg-accent-soft',
  removed: 'bg-danger-soft',
  context: '',
  note: 'text-muted italic',
};
const SIGN: Readonly<Record<PatchLine['kind'], string>> = { added: '+', removed: '−', context: ' ', note: ' ' };

/** Highlighting more lines than this would hold the page up. */
const HIGHLIGHT_MAX_LINES = 3_000;
const HighlightedDiff = lazy(() =>
  import('./highlighted-diff.tsx').then((module) => ({ default: module.HighlightedDiff })),
);

/** A highlighter that fails must not take the diff with it. */
class PlainOnError extends Component<{ plain: ReactNode; children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };
  static getDerivedStateFromError() {
    return { failed: true };
  }
  override render() {
    return this.state.failed ? this.props.plain : this.props.children;
  }
}

export const DiffView = ({ patch, path }: { patch: string; path: string }) => {
  const file = useMemo(() => parsePatch(patch).find((candidate) => candidate.path === path), [patch, path]);
  if (file === undefined)
    return <p className="px-4 pb-3 text-[13px] text-muted">Its lines are not in the stored diff.</p>;
  const total = file.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);
  const plain = <PlainDiff hunks={file.hunks} total={total} />;
  return (
    <div className="border-t border-line bg-ground" data-testid="diff">
      {file.notes.map((note) => (
        <p key={note} className="px-4 py-1 font-mono text-xs text-muted">
          {note}
        </p>
      ))}
      {total === 0 || total > HIGHLIGHT_MAX_LINES ? (
        plain
      ) : (
        <PlainOnError plain={plain}>
          <Suspense fallback={plain}>
            <HighlightedDiff raw={file.raw} />
          </Suspense>
        </PlainOnError>
      )}
    </div>
  );
};

/** Line by line with both numbers; colour and sign both tell what was added and removed. */
const PlainDiff = ({ hunks, total }: { hunks: readonly PatchHunk[]; total: number }) => {
  const [lines, setLines] = useState(LINES_STEP);
  return (
    <>
      <div className="overflow-x-auto">
        <table className="min-w-full border-collapse font-mono text-[12.5px] leading-[1.55]">
          <tbody>{rowsOf(hunks, lines)}</tbody>
        </table>
      </div>
      {total > lines ? (
        <Button small rank="quiet" className="m-2" onClick={() => setLines(lines + LINES_STEP)}>
          {total - lines} more lines
        </Button>
      ) : null}
    </>
  );
};

const rowsOf = (hunks: readonly PatchHunk[], max: number) => {
  let left = max;
  return hunks.flatMap((hunk) => {
    if (left <= 0) return [];
    const first = hunk.lines[0];
    const key = `${first?.oldLine ?? ''}-${first?.newLine ?? ''}-${hunk.header}`;
    const shown = hunk.lines.slice(0, left);
    left -= shown.length;
    return [
      <HunkRow key={key} header={hunk.header} />,
      ...shown.map((line) => <LineRow key={`${key} ${line.kind} ${line.oldLine} ${line.newLine}`} line={line} />),
    ];
  });
};

const HunkRow = ({ header }: { header: string }) => (
  <tr className="bg-raised text-muted">
    <td colSpan={3} className="px-4 py-0.5 whitespace-pre">
      ⋯ {header}
    </td>
  </tr>
);

const LineRow = ({ line }: { line: PatchLine }) => (
  <tr className={ROW[line.kind]} data-kind={line.kind}>
    <td className="tabular w-10 px-2 text-right text-muted select-none">{line.oldLine}</td>
    <td className="tabular w-10 px-2 text-right text-muted select-none">{line.newLine}</td>
    <td className="pr-4 whitespace-pre">
      <span className="mr-2 text-muted select-none">{SIGN[line.kind]}</span>
      {line.text}
    </td>
  </tr>
);
