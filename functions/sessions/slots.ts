/** Live sessions a tenant may hold: one item per session beside a counter, so that a release can never count twice. */
import { TENANT_LIVE_SESSIONS_MAX } from '../../shared/limits.ts';
import type { Write } from '../database.ts';
import type { SessionRef } from './session-store.ts';

const pk = (tenantId: string) => `T#${tenantId}`;
const slotKey = (ref: SessionRef) => ({ pk: pk(ref.tenantId), sk: `SLOT#${ref.sessionId}` });
const counterKey = (ref: SessionRef) => ({ pk: pk(ref.tenantId), sk: 'SLOTS' });

export const takeSlot = (ref: SessionRef): Write[] => [
  { kind: 'put', table: 'tenants', item: { ...slotKey(ref) }, conditions: [{ attr: 'pk', is: 'absent' }] },
  {
    kind: 'update',
    table: 'tenants',
    key: counterKey(ref),
    add: { live: 1 },
    conditions: [{ attr: 'live', op: '<', value: TENANT_LIVE_SESSIONS_MAX, orAbsent: true }],
  },
];

/** In the closing transaction only: its condition on the open head makes it happen once. */
export const releaseSlot = (ref: SessionRef): Write[] => [
  { kind: 'delete', table: 'tenants', key: slotKey(ref), conditions: [{ attr: 'pk', is: 'present' }] },
  { kind: 'update', table: 'tenants', key: counterKey(ref), add: { live: -1 } },
];
