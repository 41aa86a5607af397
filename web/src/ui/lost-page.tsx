/** For addresses that lead nowhere, and for a page that broke. */
import { type ErrorComponentProps, Link } from '@tanstack/react-router';
import { Button, buttonClass } from './button.tsx';

export const LostPage = () => (
  <div className="m-auto p-8 text-center">
    <h1 className="text-xl font-semibold">There is nothing here</h1>
    <p className="mt-2 text-muted">The address is wrong, or what it named is gone.</p>
    <Link to="/" className={`${buttonClass()} mt-5`}>
      All sessions
    </Link>
  </div>
);

export const PageError = ({ error }: ErrorComponentProps) => (
  <div className="m-auto max-w-xl p-8 text-center" role="alert">
    <h1 className="text-xl font-semibold">This page broke</h1>
    <p className="mt-2 text-muted">
      Your sessions go on; only what you see here stopped: {error instanceof Error ? error.message : String(error)}
    </p>
    <Button className="mt-5" onClick={() => location.reload()}>
      Load it again
    </Button>
  </div>
);
