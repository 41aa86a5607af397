/** What the session changed: files with their counts, each opening its part of the diff. */
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useState } from 'react';
import type { DiffFile } from '../../../shared/events.ts';
import { ApiError } from '../api/client.ts';
import { diffQuery } from '../api/queries.ts';
import { Icon } from '../ui/icon.tsx';
import { Notice } from '../ui/notice.tsx';
import { plural } from '../ui/words.ts';

const DiffView = lazy(() => import('./diff-view.tsx').then(({ DiffView: view }) => ({ default: view })));

const LETTERS: Readonly<Record<DiffFile['status'], readonly [string, string]>> = {
  added: ['A', 'text-accent'],
  modified: ['M', 'text-info'],
  deleted: ['D', 'text-danger'],
  renamed: ['R', 'text-warn'],
  type_changed: ['T', 'text-warn'],
};

export const FilesPanel = ({ sessionId, live }: { sessionId: string; live: boolean }) => {
  const diff = useQuery(diffQuery(sessionId, live));
  const [open, setOpen] = useState<string | null>(null);
  if (diff.isPending) return <p className="p-4 text-sm text-muted">Asking for the diff…</p>;
  if (diff.isError && diff.data === undefined) return <NoDiff error={diff.error} />;
  const { data } = diff;
  if (data.files.length === 0) return <Empty />;
  return (
    <div className="flex min-h-0 flex-1 flex-col overflow-y-auto" data-testid="files-panel">
      <p className="tabular flex flex-wrap gap-x-3 px-4 py-2 text-[13px] text-muted">
        <span>{plural(data.files.length, 'file')}</span>
        <Counts added={data.linesAdded} removed={data.linesRemoved} />
        <span className="font-mono">
          {data.branch ?? 'detached'} at {data.headCommit.slice(0, 10)}
        </span>
      </p>
      {data.truncated ? (
        <div className="px-4 pb-2">
          <Notice look="info" title="Only part of a large diff">
            The rest is in the workspace: npx village sessions diff
          </Notice>
        </div>
      ) : null}
      <ul className="divide-y divide-line border-y border-line">
        {data.files.map((file) => (
          <FileRow
            key={file.path}
            file={file}
            patch={data.patch}
            open={open === file.path}
            onToggle={() => setOpen(open === file.path ? null : file.path)}
          />
        ))}
      </ul>
    </div>
  );
};

const Empty = () => (
  <p className="p-4 text-sm text-muted" data-testid="no-changes">
    Nothing changed yet. Files the agent touches show up here with their diff.
  </p>
);

const NoDiff = ({ error }: { error: Error }) =>
  error instanceof ApiError && error.status === 404 ? (
    <Empty />
  ) : (
    <div className="p-4">
      <Notice look="warn" title="The diff cannot be had">
        {error.message}
      </Notice>
    </div>
  );

export const Counts = ({ added, removed }: { added: number; removed: number }) => (
  <span className="tabular whitespace-nowrap">
    <span className="text-accent">+{added}</span> <span className="text-danger">−{removed}</span>
  </span>
);

interface FileRowProps {
  readonly file: DiffFile;
  readonly patch: string;
  readonly open: boolean;
  readonly onToggle: () => void;
}

const FileRow = ({ file, patch, open, onToggle }: FileRowProps) => {
  const [letter, colour] = LETTERS[file.status];
  const slash = file.path.lastIndexOf('/') + 1;
  return (
    <li data-testid="file" data-path={file.path}>
      <button
        type="button"
        aria-expanded={open}
        onClick={onToggle}
        className="flex w-full items-center gap-2.5 px-4 py-2 text-left text-sm hover:bg-raised"
      >
        <span className={`w-3 font-mono font-semibold ${colour}`} title={file.status}>
          {letter}
          <span className="sr-only"> {file.status}</span>
        </span>
        <span
          className="min-w-0 flex-1 truncate font-mono text-[13px]"
          title={file.oldPath === undefined ? file.path : `${file.oldPath} → ${file.path}`}
        >
          <span className="text-muted">{file.path.slice(0, slash)}</span>
          {file.path.slice(slash)}
        </span>
        {file.staged ? <span className="text-xs text-muted">staged</span> : null}
        {file.binary ? (
          <span className="text-xs text-muted">binary</span>
        ) : (
          <Counts added={file.added} removed={file.removed} />
        )}
        <Icon name="down" className={`size-3.5 text-muted ${open ? 'rotate-180' : ''}`} />
      </button>
      {open ? (
        <Suspense fallback={<p className="px-4 py-2 text-sm text-muted">Opening…</p>}>
          <DiffView patch={patch} path={file.path} />
        </Suspense>
      ) : null}
    </li>
  );
};
