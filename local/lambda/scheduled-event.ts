/** The event a scheduled rule hands to Lambda. */
import type { Clock, Random } from '../../shared/clock.ts';
import { type EventBridgeEvent, eventBridgeEvent } from '../events/event-shape.ts';
import { ACCOUNT_ID, REGION, uuidOf } from './identity.ts';

export const scheduledEvent = (
  ports: { readonly clock: Clock; readonly random: Random },
  ruleName: string,
): EventBridgeEvent =>
  eventBridgeEvent({
    id: uuidOf(ports.random.hex(16)),
    source: 'aws.events',
    detailType: 'Scheduled Event',
    account: ACCOUNT_ID,
    region: REGION,
    atMs: ports.clock.nowMs(),
    resources: [`arn:aws:events:${REGION}:${ACCOUNT_ID}:rule/${ruleName}`],
    detail: {},
  });
