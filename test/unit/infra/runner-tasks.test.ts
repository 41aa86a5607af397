import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { TASK_FAMILY } from '../../../infra/topology.ts';
import { parseConfig } from '../../../runner-image/src/config.ts';
import { template } from './cell.ts';

const cell = template();
const Pair = z.strictObject({ Name: z.string(), Value: z.string() });
const Container = z.looseObject({ Environment: z.array(Pair), Image: z.unknown() });

const only = (type: string) => {
  const found = cell.of(type);
  expect(found).toHaveLength(1);
  const [, resource] = found[0] ?? [];
  if (resource === undefined) throw new Error(`no ${type}`);
  return resource.Properties;
};

describe('task definition of the runner', () => {
  const definition = only('AWS::ECS::TaskDefinition');
  const container = z.array(Container).length(1).parse(definition.ContainerDefinitions)[0];

  it('has no task role: 169.254.170.2 has nothing to hand out', () => {
    expect(Object.keys(definition)).not.toContain('TaskRoleArn');
    expect(definition.ExecutionRoleArn).toBeDefined();
  });

  it('is the family of the topology, on arm64', () => {
    expect(definition).toMatchObject({
      Family: TASK_FAMILY.family,
      Cpu: '1024',
      Memory: '2048',
      EphemeralStorage: { SizeInGiB: 21 },
      NetworkMode: 'awsvpc',
      RequiresCompatibilities: ['FARGATE'],
      RuntimePlatform: { CpuArchitecture: 'ARM64', OperatingSystemFamily: 'LINUX' },
    });
  });

  it('can write to its volumes only and has time to end', () => {
    expect(container).toMatchObject({
      Name: TASK_FAMILY.container,
      ReadonlyRootFilesystem: true,
      StopTimeout: TASK_FAMILY.stopTimeoutSec,
      LogConfiguration: { LogDriver: 'awslogs', Options: { mode: 'non-blocking' } },
      MountPoints: [
        { ContainerPath: '/village', SourceVolume: 'work', ReadOnly: false },
        { ContainerPath: '/tmp', SourceVolume: 'tmp', ReadOnly: false },
      ],
    });
    expect(definition.Volumes).toEqual([{ Name: 'work' }, { Name: 'tmp' }]);
    expect(TASK_FAMILY.environment.WORKSPACE_ROOT).toBe('/village');
  });

  it('keeps of the capabilities what pty-host needs', () => {
    const drop = z
      .looseObject({ LinuxParameters: z.object({ Capabilities: z.object({ Drop: z.array(z.string()) }) }) })
      .parse(container).LinuxParameters.Capabilities.Drop;
    for (const needed of ['SETUID', 'SETGID', 'KILL', 'CHOWN', 'ALL']) expect(drop).not.toContain(needed);
    for (const dangerous of ['NET_RAW', 'MKNOD', 'SYS_CHROOT', 'SETFCAP']) expect(drop).toContain(dangerous);
  });

  it('has a first process that reaps orphans', () => {
    expect(container).toMatchObject({ LinuxParameters: { InitProcessEnabled: true } });
  });

  it('runs a digest, not a tag', () => {
    expect(JSON.stringify(container?.Image)).toMatch(/"@",\{"Ref":"RunnerImageDigest"\}/);
  });

  it('holds settings that the runner accepts, and no secret', () => {
    const given = Object.fromEntries((container?.Environment ?? []).map(({ Name, Value }) => [Name, Value]));
    expect(given).toEqual(TASK_FAMILY.environment);
    const config = parseConfig(
      {
        ...given,
        CONTROL_PLANE_URL: 'https://village.example.com',
        CONTROL_PLANE_TOKEN: `rt.acme.ses_01JH4Z7Q8M3V5T9XKCBW2E6RNA.1.${'a'.repeat(64)}`,
        VILLAGE_PTY_SOCKET: '/tmp/s',
      },
      () => '01JZZZZZZZZZZZZZZZZZZZZZZZ',
    );
    expect(config).toMatchObject({ kind: 'ok', config: { WORKSPACE_ROOT: '/village', MAX_CONCURRENT_SESSIONS: 1 } });
    expect(Object.keys(given).filter((name) => /TOKEN|SECRET|KEY/.test(name))).toEqual([]);
  });
});

describe('network of the runner', () => {
  it('lets nobody in', () => {
    expect(only('AWS::EC2::SecurityGroup').SecurityGroupIngress).toBeUndefined();
    expect(cell.of('AWS::EC2::SecurityGroupIngress')).toEqual([]);
  });

  it('has two public subnets, flow logs and no NAT gateway', () => {
    const subnets = cell.of('AWS::EC2::Subnet');
    expect(subnets.map(([, { Properties }]) => Properties.MapPublicIpOnLaunch)).toEqual([false, false]);
    expect(cell.of('AWS::EC2::NatGateway')).toEqual([]);
    expect(only('AWS::EC2::FlowLog').TrafficType).toBe('REJECT');
  });

  it('looks nothing up: the zones are those of wherever it is deployed', () => {
    expect(cell.text).toContain('"Fn::GetAZs"');
    expect(cell.text).not.toContain('dummy1a');
  });

  it('counts its cluster', () => {
    expect(only('AWS::ECS::Cluster').ClusterSettings).toEqual([{ Name: 'containerInsights', Value: 'enabled' }]);
  });
});
