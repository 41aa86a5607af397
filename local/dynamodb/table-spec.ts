/** The part of the topology's tables that a DynamoDB endpoint needs; the name is the physical one, so that it may carry a prefix. */
import type { TableSpec as TopologyTable } from '../../infra/topology.ts';

export type { IndexSpec, KeySpec } from '../../infra/topology.ts';
export type TableSpec = Omit<TopologyTable, 'name' | 'durable'> & { readonly name: string };
