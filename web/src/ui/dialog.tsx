/** The browser's own modal dialog: focus stays inside, Esc closes, focus returns where it was. */
import { type ReactNode, useLayoutEffect, useRef } from 'react';

interface DialogProps {
  readonly open: boolean;
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly testId?: string;
}

export const Dialog = ({ open, ...dialog }: DialogProps) => (open ? <OpenDialog {...dialog} /> : null);

const OpenDialog = ({ title, onClose, children, testId }: Omit<DialogProps, 'open'>) => {
  const ref = useRef<HTMLDialogElement>(null);
  // Closed before it leaves the page: only then does the browser give the focus back.
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      aria-label={title}
      data-testid={testId}
      onCancel={onClose}
      onClose={onClose}
      className="w-[min(28rem,calc(100vw-2rem))] rounded-2xl border border-line bg-surface p-6 shadow-2xl"
    >
      <h2 className="text-lg font-semibold">{title}</h2>
      <div className="mt-3">{children}</div>
    </dialog>
  );
};
