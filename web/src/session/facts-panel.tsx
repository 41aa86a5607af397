/** What is known about the session, with numbers labelled for what they are. */
import type { ReactNode } from 'react';
import type { SessionView } from '../../../shared/session.ts';
import { poolWords } from '../ui/session-words.ts';
import { useNow } from '../ui/use-now.ts';
import { agoWords, durationWords, plural, providerName, STATE_WORDS, sizeWords } from '../ui/words.ts';

const placementWords = ({ placement, pool }: SessionView): string => {
  if (placement === null) return `nothing now, asks for ${poolWords(pool)}`;
  if (placement.kind === 'group') return `runner ${placement.runnerId} of ${poolWords(placement.group)}`;
  return placement.kind === 'warm' ? 'a warm task of the village' : 'a task of the village';
};

/** `isolation`: `null` until the agent was started. */
export const FactsPanel = ({ session, isolation }: { session: SessionView; isolation: string | null }) => {
  const nowMs = useNow(1_000);
  const endMs = session.endedAt === null ? nowMs : Date.parse(session.endedAt);
  const { usage, head, repository } = session;
  return (
    <dl className="min-h-0 flex-1 space-y-5 overflow-y-auto p-4 text-sm" data-testid="facts-panel">
      <Group title="Session">
        <Fact name="State">
          {STATE_WORDS[session.state]}
          {session.desired === 'run' ? '' : `, asked to ${session.desired}`}
        </Fact>
        {session.reason === null ? null : <Fact name="Reason">{session.reason.message}</Fact>}
        <Fact name="Last event">{agoWords(nowMs - Date.parse(session.lastEventAt))}</Fact>
        <Fact name="Started">{new Date(session.createdAt).toLocaleString()}</Fact>
        <Fact name={session.endedAt === null ? 'Running for' : 'Lasted'}>
          {durationWords(endMs - Date.parse(session.createdAt))}
        </Fact>
        <Fact name="By">{session.createdBy}</Fact>
        <Fact name="Id" mono>
          {session.sessionId}
        </Fact>
      </Group>
      <Group title="Agent">
        <Fact name="Provider">{providerName(session.provider)}</Fact>
        <Fact name="Model">{session.model === 'scripted' ? 'Scripted demo' : session.model}</Fact>
        <Fact name="Build" mono>
          {session.buildId}
        </Fact>
        {isolation === null ? null : <Fact name="Isolation">{isolation}</Fact>}
        <Fact name="Runs on">{placementWords(session)}</Fact>
        <Fact name="Epoch">{session.epoch}</Fact>
        <Fact name="Head">
          {sizeWords(head.offset)}, event {head.seq}
        </Fact>
      </Group>
      <Group title="Repository">
        <Fact name="Address" mono>
          {repository.url}
        </Fact>
        {repository.ref === undefined ? null : (
          <Fact name="Branch or commit" mono>
            {repository.ref}
          </Fact>
        )}
        {repository.roomPath === undefined ? null : (
          <Fact name="Room" mono>
            {repository.roomPath}
          </Fact>
        )}
      </Group>
      <Group title="Usage, metered by the runner">
        <Fact name="Agent time">{durationWords(usage.agentMs)}</Fact>
        <Fact name="Waiting for people">{durationWords(usage.waitingMs)}</Fact>
        <Fact name="Terminal">{sizeWords(usage.terminalBytes)}</Fact>
        <Fact name="Files touched">{plural(usage.filesTouched, 'file')}</Fact>
        <Fact name="Commands">{usage.commands.toLocaleString('en')}</Fact>
      </Group>
    </dl>
  );
};

const Group = ({ title, children }: { title: string; children: ReactNode }) => (
  <div>
    <p className="text-[13px] font-semibold text-muted">{title}</p>
    <div className="mt-1.5 divide-y divide-line">{children}</div>
  </div>
);

const Fact = ({ name, mono = false, children }: { name: string; mono?: boolean; children: ReactNode }) => (
  <div className="flex justify-between gap-4 py-1.5">
    <dt className="shrink-0 text-muted">{name}</dt>
    <dd className={`tabular min-w-0 text-right break-words ${mono ? 'font-mono text-[13px] break-all' : ''}`}>
      {children}
    </dd>
  </div>
);
