/** Which panel is in front: on a wide screen the terminal always stands beside it. */

export type SessionTab = 'terminal' | 'events' | 'files' | 'facts' | 'replay';
const TABS: readonly (readonly [SessionTab, string])[] = [
  ['terminal', 'Terminal'],
  ['events', 'Events'],
  ['files', 'Files'],
  ['facts', 'Facts'],
  ['replay', 'Replay'],
];

export const SessionTabs = ({ tab, onTab }: { tab: SessionTab; onTab: (tab: SessionTab) => void }) => (
  <nav
    aria-label="Panels"
    className="flex gap-1 border-b border-line bg-surface px-2 lg:col-start-2 lg:row-start-1 lg:border-l"
  >
    {TABS.map(([name, label]) => {
      const current = tab === name || (name === 'events' && (tab === 'terminal' || tab === 'replay') ? 'wide' : false);
      return (
        <button
          key={name}
          type="button"
          aria-current={tab === name ? 'true' : undefined}
          data-testid={`tab-${name}`}
          onClick={() => onTab(name)}
          className={`-mb-px border-b-2 px-3 py-2 text-sm ${name === 'terminal' ? 'lg:hidden' : ''} ${
            current === true
              ? 'border-accent font-medium'
              : current === 'wide'
                ? 'border-transparent text-muted lg:border-accent lg:font-medium lg:text-text'
                : 'border-transparent text-muted hover:text-text'
          }`}
        >
          {label}
        </button>
      );
    })}
  </nav>
);
