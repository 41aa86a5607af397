/** The quotas of AWS together with those the topology sets itself. */
import { CELL_QUOTAS, type CellQuota } from '../shared/quotas.ts';
import { FUNCTIONS, WEBSOCKET_APIS } from './topology.ts';

/** Counted as if every message of a session were its runner's: the safe side, until a load test parts them. */
export const cellQuotas = (): readonly CellQuota[] => [
  ...CELL_QUOTAS,
  ...FUNCTIONS.flatMap(({ name, reservedConcurrency }): CellQuota[] =>
    name === 'runner-frames' && reservedConcurrency !== undefined
      ? [
          {
            scope: 'cell',
            id: `reserved concurrency of ${name} (ours)`,
            value: reservedConcurrency,
            unit: 'environments',
            raisedTo: null,
            perSession: (load) => (load.messagesPerSecond * load.peakFactor * load.lambdaMsPerMessage) / 1_000,
          },
        ]
      : [],
  ),
  ...WEBSOCKET_APIS.filter(({ name }) => name === 'runner').map(
    ({ name, throttle }): CellQuota => ({
      scope: 'cell',
      id: `throttle of the ${name} WebSocket API (ours)`,
      value: throttle.ratePerSecond,
      unit: '/s',
      raisedTo: null,
      perSession: (load) => load.messagesPerSecond * load.peakFactor,
    }),
  ),
];
