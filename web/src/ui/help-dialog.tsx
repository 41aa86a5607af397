/** Keys, and where the rest of the help stands. */
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';

const KEYS: readonly (readonly [string, string])[] = [
  ['?', 'This help'],
  ['n', 'New session (not beside a live terminal)'],
  ['l', 'List of sessions (not beside a live terminal)'],
  ['Ctrl+Shift+F', 'Search in the terminal'],
  ['Ctrl+Shift+C', 'Copy what is selected in the terminal'],
  ['Ctrl+Shift+X', 'Leave the terminal, where Tab is typed'],
  ['Shift+drag', 'Select text while a program uses the mouse'],
  ['Shift+PgUp', 'Scroll the terminal'],
];

export const HelpDialog = ({ open, onClose }: { open: boolean; onClose: () => void }) => (
  <Dialog open={open} title="Keyboard" onClose={onClose} testId="help">
    <dl className="grid grid-cols-[auto_1fr] items-center gap-x-4 gap-y-2 text-sm">
      {KEYS.map(([keys, words]) => (
        <div key={keys} className="contents">
          <dt>
            <kbd className="rounded-md border border-line bg-raised px-1.5 py-0.5 font-mono text-xs">{keys}</kbd>
          </dt>
          <dd className="text-muted">{words}</dd>
        </div>
      ))}
    </dl>
    <p className="mt-4 text-sm text-muted">
      The same from a shell: <code className="font-mono text-text">npx village --help</code>
    </p>
    <div className="mt-5 flex justify-end">
      <Button onClick={onClose}>Close</Button>
    </div>
  </Dialog>
);
