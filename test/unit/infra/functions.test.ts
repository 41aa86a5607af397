import { describe, expect, it } from 'vitest';
import { parseEnv } from '../../../functions/env.ts';
import { pascal } from '../../../infra/constructs/logical-id.ts';
import { FUNCTIONS } from '../../../infra/topology.ts';
import { template, withoutHash } from './cell.ts';

const cell = template();
const LAMBDA_ENVIRONMENT_MAX_BYTES = 4_096;
/** Enough of a physical name for the size of an environment and for its schema. */
const PHYSICAL = 'arn:aws:service:eu-central-1:123456789012:resource/AgentVillage-Name-0123456789AB';

const functionOf = (name: string) => {
  const [, resource] =
    cell.of('AWS::Lambda::Function').find(([id]) => withoutHash(id) === `Functions${pascal(name)}Function`) ?? [];
  if (resource === undefined) throw new Error(`no function ${name}`);
  return resource.Properties;
};
const resolved = (value: unknown): string => {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'Fn::Join' in value) {
    const [separator, parts] = value['Fn::Join'] as [string, unknown[]];
    return parts
      .map((part) => (typeof part === 'object' ? 'village' : String(part)))
      .join(separator)
      .replace(/^https:\/\/village$/, 'https://village.example.com');
  }
  return PHYSICAL;
};
const environmentOf = (name: string): Record<string, string> => {
  const { Variables } = functionOf(name).Environment as { Variables: Record<string, unknown> };
  return Object.fromEntries(Object.entries(Variables).map(([key, value]) => [key, resolved(value)]));
};

describe.each(FUNCTIONS.map((spec) => [spec.name, spec] as const))('%s', (name, spec) => {
  it('has the runtime, size, time and concurrency of the topology', () => {
    expect(functionOf(name)).toMatchObject({
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      Handler: 'index.handler',
      MemorySize: spec.memoryMb,
      Timeout: spec.timeoutMs / 1_000,
      TracingConfig: { Mode: spec.begins === 'traces' ? 'Active' : 'PassThrough' },
    });
    expect(functionOf(name).ReservedConcurrentExecutions).toBe(spec.reservedConcurrency);
  });

  it('gets an environment that the control plane accepts and Lambda takes', () => {
    const environment = environmentOf(name);
    const parsed = parseEnv(environment);
    expect(parsed.REQUIRE_ORIGIN_SECRET).toBe(true);
    expect(parsed.TASK_SUBNETS).toHaveLength(2);
    expect(parsed.ALLOWED_ORIGINS).toEqual([parsed.PUBLIC_URL]);
    expect(environment.POWERTOOLS_SERVICE_NAME).toBe(name);
    expect(Buffer.byteLength(JSON.stringify(environment))).toBeLessThan(LAMBDA_ENVIRONMENT_MAX_BYTES);
  });

  it('logs to a group of its own that forgets', () => {
    const group = JSON.stringify(functionOf(name).LoggingConfig);
    expect(group).toContain(`Functions${pascal(name)}Logs`);
  });
});

describe('all functions', () => {
  it('leave the account a hundred environments that are nobody’s', () => {
    const reserved = FUNCTIONS.reduce((sum, spec) => sum + (spec.reservedConcurrency ?? 0), 0);
    expect(reserved).toBeLessThanOrEqual(900);
  });

  it('and everything else log with an end', () => {
    for (const [id, { Properties }] of cell.of('AWS::Logs::LogGroup')) expect(Properties.RetentionInDays, id).toBe(30);
    expect(cell.of('AWS::Logs::LogGroup').length).toBeGreaterThanOrEqual(FUNCTIONS.length);
  });

  it('can be called by the gateway, the bus and nobody else', () => {
    for (const [id, { Properties }] of cell.of('AWS::Lambda::Permission')) {
      expect(['apigateway.amazonaws.com', 'events.amazonaws.com'], id).toContain(Properties.Principal);
      expect(Properties.SourceArn, id).toBeDefined();
    }
  });
});
