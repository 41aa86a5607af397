/** Sends a start: the same key while the same body is tried again, so that a lost answer never starts two sessions. */
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { systemRandom } from '../../../shared/clock.ts';
import type { StartSessionBody } from '../../../shared/http.ts';
import { sessionQuery, startSession } from '../api/queries.ts';
import { rememberStart } from './start-memory.ts';
import { SubmissionKey } from './submission-key.ts';

export const useStart = () => {
  const [key] = useState(() => new SubmissionKey(systemRandom));
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: (body: StartSessionBody) => startSession(body, key.for(body)),
    onSuccess: async ({ sessionId, session }, body) => {
      key.used();
      rememberStart(sessionStorage, sessionId, body);
      queryClient.setQueryData(sessionQuery(sessionId).queryKey, session);
      await navigate({ to: '/sessions/$sessionId', params: { sessionId } });
    },
  });
};
