/** Says how to get in; there is no password to ask for. */
import type { ReactNode } from 'react';

export const Command = ({ children }: { children: ReactNode }) => (
  <code className="rounded-md border border-line bg-raised px-1.5 py-0.5 font-mono text-[13px] whitespace-nowrap text-text">
    {children}
  </code>
);

export const SignedOut = ({ why }: { why?: string }) => (
  <section data-testid="signed-out" className="m-auto w-full max-w-lg p-6">
    <div className="rounded-2xl border border-line bg-surface p-7 shadow-sm">
      <img src="/favicon.svg" alt="" className="size-10" />
      <h1 className="mt-4 text-xl font-semibold">You are signed out</h1>
      {why === undefined ? null : (
        <p role="alert" className="mt-2 text-danger">
          {why}
        </p>
      )}
      <p className="mt-2 text-muted">
        The village lets you in by a one-time link, printed in the terminal it runs in. It works once, for ten minutes.
      </p>
      <ul className="mt-4 space-y-2.5 text-muted">
        <li>
          <Command>npx village open</Command> opens the page with a new link.
        </li>
        <li>
          <Command>npm start</Command> prints a new link each time it starts.
        </li>
      </ul>
    </div>
  </section>
);
