import { RemovalPolicy } from "aws-cdk-lib";
import { Ec2Action, Ec2InstanceAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { Metric } from "aws-cdk-lib/aws-cloudwatch";
import {
  FlowLogDestination,
  InstanceClass,
  InstanceSize,
  InstanceType,
  NatProvider,
  NatTrafficDirection,
  Peer,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
  type IVpc,
  type NatInstanceProviderV2,
} from "aws-cdk-lib/aws-ec2";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import type { StageSettings } from "../stage.ts";
import { FIVE_MINUTES, type Alarms } from "./alarms.ts";

/**
 * Three rings: public (NAT only), `functions` (out through NAT: Stripe and AWS), `database` (no way out or in but
 * from the functions).
 */
export class Network extends Construct {
  readonly vpc: IVpc;
  readonly functions: SecurityGroup;
  readonly functionSubnets = { subnetGroupName: "functions" };
  readonly databaseSubnets = { subnetGroupName: "database" };
  readonly nat: NatInstanceProviderV2 | undefined;

  constructor(scope: Construct, id: string, props: { settings: StageSettings; alarms: Alarms }) {
    super(scope, id);
    const { settings, alarms } = props;
    this.nat =
      settings.nat === "instance"
        ? NatProvider.instanceV2({
            instanceType: InstanceType.of(InstanceClass.T4G, InstanceSize.NANO),
            defaultAllowedTraffic: NatTrafficDirection.OUTBOUND_ONLY,
          })
        : undefined;
    const vpc: Omit<Vpc, "vpnGatewayId"> = new Vpc(this, "Vpc", {
      maxAzs: 2,
      restrictDefaultSecurityGroup: false,
      ...(this.nat ? { natGatewayProvider: this.nat, natGateways: 1 } : { natGateways: 2 }),
      subnetConfiguration: [
        { name: "public", subnetType: SubnetType.PUBLIC, cidrMask: 24 },
        { name: "functions", subnetType: SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 20 },
        { name: "database", subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 24 },
      ],
    });
    // Vpc's optional vpnGatewayId is not typed as IVpc's is (exactOptionalPropertyTypes); nobody uses it here.
    this.vpc = vpc;
    vpc.addFlowLog("FlowLog", {
      destination: FlowLogDestination.toCloudWatchLogs(
        new LogGroup(this, "FlowLogGroup", {
          retention: settings.logRetention,
          removalPolicy: RemovalPolicy.DESTROY,
        }),
      ),
    });

    this.functions = new SecurityGroup(this, "Functions", {
      vpc: this.vpc,
      description: "Lambdas: HTTPS to Stripe and AWS, and the database",
      allowAllOutbound: false,
    });
    this.functions.addEgressRule(Peer.anyIpv4(), Port.HTTPS, "Stripe and AWS");

    if (this.nat) {
      this.nat.connections.allowFrom(this.functions, Port.HTTPS, "Lambdas going out");
      for (const { instance, instanceId } of this.nat.gatewayInstances) {
        instance.blockDeviceMappings = [
          { deviceName: "/dev/xvda", ebs: { encrypted: true, volumeType: "gp3" } },
        ];
        instance.metadataOptions = { httpTokens: "required", httpPutResponseHopLimit: 1 };
        const stuck = alarms.when(this, "NatStuck", {
          metric: new Metric({
            namespace: "AWS/EC2",
            metricName: "StatusCheckFailed_Instance",
            dimensionsMap: { InstanceId: instanceId },
            statistic: "Maximum",
            ...FIVE_MINUTES,
          }),
          threshold: 1,
          of: 2,
          description:
            "The NAT instance does not answer: Lambdas reach neither Stripe nor AWS. It is being rebooted.",
        });
        stuck.addAlarmAction(new Ec2Action(Ec2InstanceAction.REBOOT));
      }
    }
  }
}
