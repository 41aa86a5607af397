/** No slot leaks: the counter, the items and the live sessions of a tenant are the same number, and the same sessions. */
import { isFinal } from '../../shared/session.ts';
import type { StoredSlots, StoredVillage } from './stored.ts';
import { findings, type Violation } from './violation.ts';

const NO_SLOTS = { sessionIds: [], live: 0 };

export const checkSlots = ({ sessions, slots }: StoredVillage): Violation[] => {
  const { violations, expect } = findings(null);
  const tenants = new Set([...sessions.map(({ ref }) => ref.tenantId), ...slots.map(({ tenantId }) => tenantId)]);
  for (const tenantId of tenants) {
    const held: Omit<StoredSlots, 'tenantId'> = slots.find((entry) => entry.tenantId === tenantId) ?? NO_SLOTS;
    const live = sessions
      .filter(({ ref, head }) => ref.tenantId === tenantId && !isFinal(head.state))
      .map(({ ref }) => ref.sessionId);
    const isSame = live.length === held.sessionIds.length && live.every((id) => held.sessionIds.includes(id));
    expect(
      isSame,
      'slots',
      `${tenantId}: slots of ${held.sessionIds.join(', ') || 'none'}, live ${live.join(', ') || 'none'}`,
    );
    expect(held.live === live.length, 'slots', `${tenantId}: the counter says ${held.live}, ${live.length} are live`);
  }
  return violations;
};
