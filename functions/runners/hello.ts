/** A runner says hello: the pointer moves to its connection, it learns what was committed and asked, and gets its sessions. */
import { z } from 'zod';
import { AppError } from '../../shared/errors.ts';
import { PROTOCOL_MIN, PROTOCOL_VERSION } from '../../shared/frames.ts';
import type { RunnerScope } from '../../shared/runner-credential.ts';
import type { SessionRef } from '../sessions/session-store.ts';
import { greetGroup } from './greet-group.ts';
import { greetWarm } from './greet-warm.ts';
import type { RunnerConnection } from './handle-runner-frame.ts';
import { markAssigned, postAssign } from './post-assign.ts';
import { type HelloFrame, type HelloPorts, isCurrent, recordAtHello, type Welcome, welcomed } from './welcome.ts';

/** @throws AppError `protocol_unsupported`, for which a runner ends: dialling again would change nothing */
const checkProtocol = (protocol: number): void => {
  if (protocol >= PROTOCOL_MIN && protocol <= PROTOCOL_VERSION) return;
  const spoken = PROTOCOL_MIN === PROTOCOL_VERSION ? `${PROTOCOL_MIN}` : `${PROTOCOL_MIN} to ${PROTOCOL_VERSION}`;
  const what =
    protocol < PROTOCOL_MIN
      ? 'The runner is too old: install the version that the village runs'
      : 'The runner is newer than the village: install the version that the village runs, or update the village';
  throw new AppError(
    'protocol_unsupported',
    `This runner speaks protocol ${protocol}, the village ${spoken}. ${what} (GET /api/health names it), then start the runner again.`,
  );
};

const AnyHello = z.looseObject({ type: z.literal('hello'), protocol: z.int() });
/** Before the schema: the hello of another protocol may have other fields, and its runner must learn the reason all the same. */
export const checkHello = (value: unknown): void => {
  const hello = AnyHello.safeParse(value);
  if (hello.success) checkProtocol(hello.data.protocol);
};

const greetSession = async (
  ports: HelloPorts,
  who: RunnerScope & { readonly connectionId: string },
  frame: HelloFrame,
): Promise<Welcome> => {
  const ref: SessionRef = { tenantId: who.tenantId, sessionId: who.sessionId };
  const { epoch, connectionId } = who;
  const { dial, runnerId, runnerVersion, buildId } = frame;
  const record = await recordAtHello(ports, ref, epoch, frame.sessions);
  const current = isCurrent(record, epoch);
  /** A lower dial that arrives late changes nothing; its socket is about to close. */
  if (current) await ports.runners.set(ref, { connectionId, epoch, dial });
  if (record === null) return { type: 'welcome', dial, sessions: [], desired: 'serve' };
  if (current) {
    await Promise.all([
      markAssigned(ports, ref, record.head),
      ports.runnerStore.connected({ ...who, runnerId, runnerVersion, buildId }),
    ]);
    /** Repeated at each hello until the first batch of the epoch shows that it was taken. */
    if (record.head.ackedRseq === 0) await postAssign(ports, { connectionId, dial }, ref, record.meta);
  }
  return { type: 'welcome', dial, sessions: [await welcomed(ports, ref, epoch, record)], desired: 'serve' };
};

export const greet = async (ports: HelloPorts, who: RunnerConnection, frame: HelloFrame): Promise<Welcome> => {
  checkProtocol(frame.protocol);
  switch (who.kind) {
    case 'group':
      return greetGroup(ports, who, frame);
    case 'warm':
      return greetWarm(ports, who, frame);
    default:
      return greetSession(ports, who, frame);
  }
};
