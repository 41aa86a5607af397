/** The cluster and the task definition that runners start from. There is no task role: whatever runs inside gets no AWS credentials. */
import { CfnParameter, Fn, Stack } from 'aws-cdk-lib';
import { CfnCluster, CfnTaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { acknowledge, acknowledgeWildcard } from '../acknowledge.ts';
import type { TaskFamilySpec } from '../topology.ts';
import { logGroup } from './retention.ts';

/** Paths that stay writable on a read-only root; the image makes them its own with VOLUME. */
const WRITABLE = [
  { name: 'work', path: '/village' },
  { name: 'tmp', path: '/tmp' },
] as const;
/** What is left is what pty-host needs to give each session a uid of its own and to end it. */
const DROPPED_CAPABILITIES = [
  'AUDIT_WRITE',
  'MKNOD',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SETFCAP',
  'SETPCAP',
  'SYS_CHROOT',
];
const OPEN_FILES = 65_536;

interface Image {
  readonly repositoryArn: string;
  readonly uri: string;
}

export class RunnerTasks extends Construct {
  readonly clusterName: string;
  readonly clusterArn: string;
  readonly executionRole: Role;
  /** Every revision of the family: builds register new ones. */
  readonly definitionsArn: string;
  readonly tasksArn: string;

  constructor(scope: Construct, id: string, spec: TaskFamilySpec) {
    super(scope, id);
    const stack = Stack.of(this);
    const cluster = new CfnCluster(this, 'Cluster', {
      clusterSettings: [{ name: 'containerInsights', value: 'enabled' }],
    });
    const image = this.#image();
    const logs = logGroup(this, 'Logs');
    this.executionRole = this.#executionRole(image, logs);
    this.#taskDefinition(spec, image, logs);
    this.clusterName = cluster.ref;
    this.clusterArn = cluster.attrArn;
    this.definitionsArn = stack.formatArn({
      service: 'ecs',
      resource: 'task-definition',
      resourceName: `${spec.family}:*`,
    });
    this.tasksArn = stack.formatArn({ service: 'ecs', resource: 'task', resourceName: `${this.clusterName}/*` });
  }

  /** A build is a digest, not a tag: what was tested is what runs. */
  #image(): Image {
    const stack = Stack.of(this);
    const repository = new CfnParameter(stack, 'RunnerRepository', {
      description: 'Name of the ECR repository with the runner image, in this account and region',
      default: 'agent-village-runner',
      allowedPattern: '[a-z0-9][a-z0-9._/-]{1,255}',
    });
    const digest = new CfnParameter(stack, 'RunnerImageDigest', {
      description: 'Digest of the runner image, sha256:…',
      allowedPattern: 'sha256:[0-9a-f]{64}',
    });
    const name = repository.valueAsString;
    return {
      repositoryArn: stack.formatArn({ service: 'ecr', resource: 'repository', resourceName: name }),
      uri: Fn.join('', [
        `${stack.account}.dkr.ecr.${stack.region}.${stack.urlSuffix}/`,
        name,
        '@',
        digest.valueAsString,
      ]),
    };
  }

  #executionRole({ repositoryArn }: Image, logs: LogGroup): Role {
    const role = new Role(this, 'ExecutionRole', {
      description: 'ECS itself: pulls the runner image and writes its log; nothing inside the task can use it',
      assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    });
    role.addToPolicy(new PolicyStatement({ actions: ['ecr:GetAuthorizationToken'], resources: ['*'] }));
    role.addToPolicy(
      new PolicyStatement({
        actions: ['ecr:BatchCheckLayerAvailability', 'ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'],
        resources: [repositoryArn],
      }),
    );
    role.addToPolicy(
      new PolicyStatement({ actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logs.logGroupArn] }),
    );
    acknowledgeWildcard(role, { resource: '*', reason: 'ecr:GetAuthorizationToken knows no resources.' });
    return role;
  }

  #taskDefinition(spec: TaskFamilySpec, image: Image, logs: LogGroup): void {
    const definition = new CfnTaskDefinition(this, 'Definition', {
      family: spec.family,
      requiresCompatibilities: ['FARGATE'],
      networkMode: 'awsvpc',
      runtimePlatform: { cpuArchitecture: 'ARM64', operatingSystemFamily: 'LINUX' },
      cpu: String(spec.cpuUnits),
      memory: String(spec.memoryMb),
      ephemeralStorage: { sizeInGiB: spec.ephemeralStorageGb },
      executionRoleArn: this.executionRole.roleArn,
      volumes: WRITABLE.map(({ name }) => ({ name })),
      containerDefinitions: [
        {
          name: spec.container,
          image: image.uri,
          essential: true,
          readonlyRootFilesystem: true,
          mountPoints: WRITABLE.map(({ name, path }) => ({ sourceVolume: name, containerPath: path, readOnly: false })),
          environment: Object.entries(spec.environment).map(([name, value]) => ({ name, value })),
          /** Node as first process does not reap orphans: each would stay a zombie and count against the pids. */
          linuxParameters: { initProcessEnabled: true, capabilities: { drop: [...DROPPED_CAPABILITIES] } },
          ulimits: [{ name: 'nofile', softLimit: OPEN_FILES, hardLimit: OPEN_FILES }],
          stopTimeout: spec.stopTimeoutSec,
          logConfiguration: {
            logDriver: 'awslogs',
            options: {
              'awslogs-group': logs.logGroupName,
              'awslogs-region': Stack.of(this).region,
              'awslogs-stream-prefix': spec.container,
              /** A log that cannot be written must not stop the agent. */
              mode: 'non-blocking',
              'max-buffer-size': '4m',
            },
          },
        },
      ],
    });
    acknowledge(
      definition,
      'AwsSolutions-ECS2',
      'Settings only (paths, log level, intervals); the address and the one-use token come with each start.',
    );
  }
}
