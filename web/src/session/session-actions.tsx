/** Pause, resume and stop; stop asks first, since nothing leads back from it. */
import { useState } from 'react';
import { isFinal, type SessionView } from '../../../shared/session.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Icon } from '../ui/icon.tsx';
import { isResting } from '../ui/session-words.ts';
import { useAskSession } from './use-ask-session.ts';

const PAUSABLE: ReadonlySet<SessionView['state']> = new Set(['running', 'waiting_for_approval']);

export const SessionActions = ({ session }: { session: SessionView }) => {
  const [confirms, setConfirms] = useState(false);
  const ask = useAskSession(session);
  if (isFinal(session.state)) return null;
  const stopping = session.desired === 'stop' || session.state === 'stopping';
  const paused =
    session.desired === 'pause' || session.state === 'paused_by_human' || (session.parked && isResting(session));
  return (
    <div className="flex items-center gap-2">
      {paused && !stopping ? (
        <Button small disabled={ask.isPending} onClick={() => ask.mutate('resume')} data-testid="resume">
          <Icon name="play" /> Resume
        </Button>
      ) : null}
      {!paused && !stopping && PAUSABLE.has(session.state) ? (
        <Button small disabled={ask.isPending} onClick={() => ask.mutate('pause')} data-testid="pause">
          <Icon name="pause" /> Pause
        </Button>
      ) : null}
      <Button
        small
        rank="danger"
        disabled={stopping || ask.isPending}
        onClick={() => setConfirms(true)}
        data-testid="stop"
      >
        <Icon name="stop" /> {stopping ? 'Stopping…' : 'Stop'}
      </Button>
      <Dialog open={confirms} title="Stop this session?" onClose={() => setConfirms(false)} testId="stop-dialog">
        <p className="text-sm text-muted">
          The agent and everything it started end, and its workspace is removed. Terminal, events and diff stay. A
          stopped session cannot be resumed.
        </p>
        <div className="mt-5 flex justify-end gap-2">
          <Button onClick={() => setConfirms(false)}>Keep it running</Button>
          <Button
            rank="danger"
            data-testid="confirm-stop"
            onClick={() => {
              setConfirms(false);
              ask.mutate('stop');
            }}
          >
            Stop it
          </Button>
        </div>
      </Dialog>
    </div>
  );
};
