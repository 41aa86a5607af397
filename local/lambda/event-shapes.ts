/** Events as EventBridge and its schedules hand them to Lambda, so that handlers cannot tell who sent them. */
import type { Clock, Random } from '../../shared/clock.ts';
import { ACCOUNT_ID, REGION, uuidOf } from './identity.ts';

interface Ports {
  readonly clock: Clock;
  readonly random: Random;
}

export interface EventBridgeEvent {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': string;
  readonly source: string;
  readonly account: string;
  /** ISO 8601 without milliseconds. */
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: unknown;
}

/** An EventBridge event; `detail` such as ECS's task with `lastStatus` and `version`. */
export function eventBridgeEvent(
  ports: Ports,
  fields: { source: string; detailType: string; detail: unknown; resources?: readonly string[] },
): EventBridgeEvent {
  return {
    version: '0',
    id: uuidOf(ports.random.hex(16)),
    'detail-type': fields.detailType,
    source: fields.source,
    account: ACCOUNT_ID,
    time: new Date(ports.clock.nowMs()).toISOString().replace(/\.\d+Z$/, 'Z'),
    region: REGION,
    resources: fields.resources ?? [],
    detail: fields.detail,
  };
}

/** What a scheduled rule sends. */
export const scheduledEvent = (ports: Ports, ruleName: string): EventBridgeEvent =>
  eventBridgeEvent(ports, {
    source: 'aws.events',
    detailType: 'Scheduled Event',
    detail: {},
    resources: [`arn:aws:events:${REGION}:${ACCOUNT_ID}:rule/${ruleName}`],
  });
