/** Asks a session to pause, resume or stop; the same key while the same wish is tried again. */
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { toast } from 'sonner';
import { systemRandom } from '../../../shared/clock.ts';
import type { SessionView } from '../../../shared/session.ts';
import { askSession, sessionQuery } from '../api/queries.ts';
import { SubmissionKey } from '../start/submission-key.ts';

export const useAskSession = (session: SessionView) => {
  const [key] = useState(() => new SubmissionKey(systemRandom));
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: (desired: 'stop' | 'pause' | 'resume') => askSession(session.sessionId, desired, key.for(desired)),
    onSuccess: ({ session: next }) => {
      key.used();
      queryClient.setQueryData(sessionQuery(session.sessionId).queryKey, next);
    },
    onError: (error) => toast.error(error.message),
  });
};
