/** Trades the code of a one-time link for a cookie; the code leaves the address bar before anything else happens. */
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { SignedIn, SignInBody } from '../../../shared/http.ts';
import { call } from '../api/client.ts';
import { SignedOut } from './signed-out.tsx';

/** Read once per page load, outside React: effects may run twice, the code works once. */
let code: string | null = null;
let attempt: Promise<void> | null = null;

const takeCode = (): string | null => {
  const found = decodeURIComponent(location.hash.replace(/^#/, ''));
  if (found !== '') {
    history.replaceState(history.state, '', '/signin');
    code = found;
    attempt = null;
  }
  return code;
};

const signIn = async (text: string): Promise<void> => {
  const body = SignInBody.parse({ code: text });
  await call('/api/signin', SignedIn, { method: 'POST', body });
};

export const SignInPage = () => {
  const [problem, setProblem] = useState<string | null>(null);
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  useEffect(() => {
    let gone = false;
    const taken = takeCode();
    if (taken === null) {
      setProblem('This address carries no sign-in code.');
      return;
    }
    attempt ??= signIn(taken);
    attempt.then(
      async () => {
        await queryClient.resetQueries();
        if (!gone) await navigate({ to: '/', replace: true });
      },
      (error: unknown) => {
        const words = error instanceof Error ? error.message : 'The link was not accepted.';
        if (!gone) setProblem(`${words} A link works once, and for ten minutes.`);
      },
    );
    return () => {
      gone = true;
    };
  }, [navigate, queryClient]);
  if (problem !== null) return <SignedOut why={problem} />;
  return <p className="m-auto p-8 text-muted">Signing in…</p>;
};
