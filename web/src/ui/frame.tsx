/** What stands around every page: the bar with its two places, the theme, help; and the sign-in wall. */
import { useQuery } from '@tanstack/react-query';
import { Link, Outlet, useLocation, useNavigate } from '@tanstack/react-router';
import { useCallback, useState } from 'react';
import { isSignedOut } from '../api/client.ts';
import { meQuery } from '../api/queries.ts';
import { SignedOut } from '../signin/signed-out.tsx';
import { buttonClass } from './button.tsx';
import { HelpDialog } from './help-dialog.tsx';
import { Icon } from './icon.tsx';
import { Notice } from './notice.tsx';
import { useShortcut } from './shortcuts.ts';
import { type Theme, useTheme } from './theme.ts';

const NEXT: Readonly<Record<Theme, Theme>> = { system: 'light', light: 'dark', dark: 'system' };
const THEME_WORDS: Readonly<Record<Theme, string>> = { system: 'as the system', light: 'light', dark: 'dark' };
const THEME_ICONS = { system: 'auto', light: 'sun', dark: 'moon' } as const;

export const Frame = () => {
  const { pathname } = useLocation();
  const isSigningIn = pathname === '/signin';
  return (
    <div className="flex min-h-dvh flex-col">
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:m-2 focus:rounded-lg focus:bg-surface focus:px-3 focus:py-2"
      >
        Skip to content
      </a>
      <Bar signingIn={isSigningIn} />
      <main id="main" className="flex min-h-0 flex-1 flex-col">
        {isSigningIn ? <Outlet /> : <Wall />}
      </main>
    </div>
  );
};

/** Everything but sign-in needs a person; the cookie cannot be read here, so the village is asked. */
const Wall = () => {
  const me = useQuery(meQuery);
  if (me.isPending) return <p className="m-auto p-8 text-muted">Opening the village…</p>;
  if (isSignedOut(me.error)) return <SignedOut />;
  if (me.isError && me.data === undefined) {
    return (
      <div className="m-auto w-full max-w-xl p-6">
        <Notice look="danger" title="The village cannot be reached">
          <p>{me.error.message}</p>
          <button type="button" className={`${buttonClass('plain', true)} mt-3`} onClick={() => void me.refetch()}>
            <Icon name="retry" /> Try again
          </button>
        </Notice>
      </div>
    );
  }
  return <Outlet />;
};

const Bar = ({ signingIn }: { signingIn: boolean }) => {
  const [theme, setTheme] = useTheme();
  const [help, setHelp] = useState(false);
  const navigate = useNavigate();
  useShortcut(
    '?',
    useCallback(() => setHelp(true), []),
  );
  useShortcut(
    'n',
    useCallback(() => void navigate({ to: '/new' }), [navigate]),
    true,
  );
  useShortcut(
    'l',
    useCallback(() => void navigate({ to: '/' }), [navigate]),
    true,
  );
  return (
    <header className="sticky top-0 z-20 border-b border-line bg-surface/95 backdrop-blur">
      <div className="mx-auto flex h-13 max-w-[1600px] items-center gap-2 px-3 sm:px-5">
        <Link
          to="/"
          className="flex min-h-8 items-center gap-2.5 rounded-lg pr-2 font-semibold tracking-tight whitespace-nowrap"
        >
          <img src="/favicon.svg" alt="" className="size-6" />
          <span>Agent Village</span>
        </Link>
        {signingIn ? null : (
          <Link to="/runners" className={buttonClass('quiet', true)} activeProps={{ 'aria-current': 'page' }}>
            <Icon name="runner" /> <span className="max-sm:sr-only">Runners</span>
          </Link>
        )}
        <span className="flex-1" />
        <button
          type="button"
          className={buttonClass('quiet', true)}
          onClick={() => setTheme(NEXT[theme])}
          aria-label={`Colours: ${THEME_WORDS[theme]}. Change to ${THEME_WORDS[NEXT[theme]]}`}
          title={`Colours: ${THEME_WORDS[theme]}`}
          data-testid="theme-toggle"
        >
          <Icon name={THEME_ICONS[theme]} />
        </button>
        <button
          type="button"
          className={buttonClass('quiet', true)}
          onClick={() => setHelp(true)}
          aria-label="Help and keyboard"
          title="Help and keyboard (?)"
        >
          <span aria-hidden="true">?</span>
        </button>
        {signingIn ? null : (
          <Link to="/new" className={buttonClass('primary', true)} data-testid="new-session">
            <Icon name="plus" /> New<span className="max-sm:sr-only"> session</span>
          </Link>
        )}
      </div>
      <HelpDialog open={help} onClose={() => setHelp(false)} />
    </header>
  );
};
