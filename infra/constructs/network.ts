/** Where runner tasks live: public subnets in two zones without NAT gateways, and a security group nobody can enter. */
import {
  FlowLogDestination,
  FlowLogTrafficType,
  IpAddresses,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';
import { SUBNET_CIDR_MASK, ZONES } from '../../shared/quotas.ts';
import { logGroup } from './retention.ts';

export class Network extends Construct {
  readonly subnetIds: readonly string[];
  readonly securityGroupId: string;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const vpc = new Vpc(this, 'Vpc', {
      ipAddresses: IpAddresses.cidr('10.0.0.0/16'),
      maxAzs: ZONES,
      /** A NAT gateway costs more than the public addresses of a small cell; "restricted" egress gets private subnets of its own. */
      natGateways: 0,
      subnetConfiguration: [
        {
          name: 'runners',
          subnetType: SubnetType.PUBLIC,
          cidrMask: SUBNET_CIDR_MASK,
          /** RunTask asks for an address itself: nothing else started here shall get one by accident. */
          mapPublicIpOnLaunch: false,
        },
      ],
      /** Nothing uses the default group; emptying it would take a custom resource with rights on every group. */
      restrictDefaultSecurityGroup: false,
    });
    vpc.addFlowLog('Refused', {
      trafficType: FlowLogTrafficType.REJECT,
      destination: FlowLogDestination.toCloudWatchLogs(logGroup(this, 'FlowLogs')),
    });
    const runners = new SecurityGroup(this, 'Runners', {
      vpc,
      description: 'Runner tasks: nobody can connect to them',
      /** Open egress: repositories, registries and models are anywhere, and a group cannot filter by name. */
      allowAllOutbound: true,
    });
    this.subnetIds = vpc.publicSubnets.map(({ subnetId }) => subnetId);
    this.securityGroupId = runners.securityGroupId;
  }
}
