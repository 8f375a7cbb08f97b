import { RemovalPolicy, type Duration } from "aws-cdk-lib";
import type { ISecurityGroup, IVpc, SubnetSelection } from "aws-cdk-lib/aws-ec2";
import { Effect, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import {
  Architecture,
  Code,
  Function,
  LoggingFormat,
  Runtime,
  Tracing,
} from "aws-cdk-lib/aws-lambda";
import { LogGroup, type RetentionDays } from "aws-cdk-lib/aws-logs";
import type { ISecret } from "aws-cdk-lib/aws-secretsmanager";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { Bundle } from "../bundle/bundle.ts";
import { FIVE_MINUTES, type Alarms } from "./alarms.ts";

/** What Lambda itself does with the role to give the function its network interfaces. EC2 narrows none of these. */
const INTERFACE_ACTIONS = [
  "ec2:CreateNetworkInterface",
  "ec2:DescribeNetworkInterfaces",
  "ec2:DescribeSubnets",
  "ec2:DeleteNetworkInterface",
  "ec2:AssignPrivateIpAddresses",
  "ec2:UnassignPrivateIpAddresses",
];

/** What all functions share. */
export type FunctionHome = Readonly<{
  vpc: IVpc;
  subnets: SubnetSelection;
  securityGroup: ISecurityGroup;
  logRetention: RetentionDays;
  alarms: Alarms;
}>;

/** A Lambda made from a bundle, with a role that may do nothing that is not granted by name. */
export class BerthFunction extends Construct {
  readonly function: Function;
  readonly role: Role;
  readonly logGroup: LogGroup;

  constructor(
    scope: Construct,
    id: string,
    props: {
      home: FunctionHome;
      bundle: Bundle;
      memoryMib: number;
      timeout: Duration;
      environment: Readonly<Record<string, string>>;
      reserved?: number;
      /** Secrets whose value it may read. */
      secrets: readonly Pick<ISecret, "secretArn">[];
      /** Queues it may send to. */
      sendsTo?: readonly IQueue[];
    },
  ) {
    super(scope, id);
    const { home } = props;
    this.logGroup = new LogGroup(this, "Log", {
      retention: home.logRetention,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.role = new Role(this, "Role", { assumedBy: new ServicePrincipal("lambda.amazonaws.com") });
    this.logGroup.grantWrite(this.role);
    this.role.addToPolicy(new PolicyStatement({ actions: INTERFACE_ACTIONS, resources: ["*"] }));
    // The key is set on calls that the function's code makes, and on none that Lambda makes for it: so the code
    // cannot use what only Lambda needs. https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    this.role.addToPolicy(
      new PolicyStatement({
        effect: Effect.DENY,
        actions: INTERFACE_ACTIONS,
        resources: ["*"],
        conditions: { Null: { "lambda:SourceFunctionArn": "false" } },
      }),
    );
    this.allow(
      ["secretsmanager:GetSecretValue"],
      props.secrets.map((secret) => secret.secretArn),
    );
    if (props.sendsTo)
      this.allow(
        ["sqs:SendMessage"],
        props.sendsTo.map((queue) => queue.queueArn),
      );

    this.function = new Function(this, "Function", {
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      handler: "index.handler",
      code: Code.fromAsset(props.bundle.folder),
      description: `Berth: ${id}`,
      memorySize: props.memoryMib,
      timeout: props.timeout,
      role: this.role,
      vpc: home.vpc,
      vpcSubnets: home.subnets,
      securityGroups: [home.securityGroup],
      logGroup: this.logGroup,
      loggingFormat: LoggingFormat.JSON,
      tracing: Tracing.ACTIVE,
      environment: {
        ...props.environment,
        NODE_OPTIONS: "--enable-source-maps",
        // Amazon's own certificate authorities, RDS' among them: Node's list has only public ones, and since
        // Node 20 Lambda adds them when asked. https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html
        NODE_EXTRA_CA_CERTS: "/var/runtime/ca-cert.pem",
      },
      ...(props.reserved === undefined ? {} : { reservedConcurrentExecutions: props.reserved }),
    });

    home.alarms.when(this, "Errors", {
      metric: this.function.metricErrors(FIVE_MINUTES),
      threshold: 1,
      description: `${id}: an invocation threw or timed out. Its log has the line with the error.`,
    });
    home.alarms.when(this, "Throttles", {
      metric: this.function.metricThrottles(FIVE_MINUTES),
      threshold: 1,
      description: `${id}: an invocation was refused for want of concurrency. Raise it in cdk/stage.ts.`,
    });
  }

  allow(actions: string[], resources: string[]): void {
    this.role.addToPolicy(new PolicyStatement({ actions, resources }));
  }
}
