/** `startedBy` of a task names whose it is: tenant/session/epoch, in the characters that ECS allows there. */
import { RunnerScope } from '../../shared/runner-credential.ts';

export const formatTaskOwner = ({ tenantId, sessionId, epoch }: RunnerScope): string =>
  `${tenantId}/${sessionId}/${epoch}`;

export const parseTaskOwner = (startedBy: string | undefined): RunnerScope | null => {
  const [tenantId, sessionId, epoch] = (startedBy ?? '').split('/');
  const owner = RunnerScope.safeParse({ tenantId, sessionId, epoch: Number(epoch) });
  return owner.success ? owner.data : null;
};
