/** The envelope in which EventBridge hands an event to its targets, so that handlers cannot tell who sent it. */

export interface EventBridgeEvent<Detail = unknown> {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': string;
  readonly source: string;
  readonly account: string;
  /** ISO 8601 without milliseconds. */
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: Detail;
}

export interface EventFields<Detail> {
  readonly id: string;
  readonly source: string;
  readonly detailType: string;
  readonly account: string;
  readonly region: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly resources: readonly string[];
  readonly detail: Detail;
}

export const eventBridgeEvent = <Detail>(fields: EventFields<Detail>): EventBridgeEvent<Detail> => ({
  version: '0',
  id: fields.id,
  'detail-type': fields.detailType,
  source: fields.source,
  account: fields.account,
  time: new Date(fields.atMs).toISOString().replace(/\.\d+Z$/, 'Z'),
  region: fields.region,
  resources: fields.resources,
  detail: fields.detail,
});
