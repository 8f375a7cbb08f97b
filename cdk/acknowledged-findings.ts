import { Validations } from "aws-cdk-lib";
import type { IConstruct } from "constructs";
import type { Stage } from "./stage.ts";

/** A finding of cdk-nag's AwsSolutions pack that stands, where it stands, and why. */
type Acknowledged = Readonly<{
  id: string;
  /** Paths below the stack. One that is not there fails the synthesis. */
  at: readonly string[];
  stages?: readonly Stage[];
  reason: string;
}>;

const HOST_QUEUES =
  "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>:berth-host-*]";

const ACKNOWLEDGED: readonly Acknowledged[] = [
  {
    id: "AwsSolutions-IAM5[Resource::*]",
    at: [
      "Api/Role",
      "Agent/Role",
      "LogIn/Role",
      "StripeWebhook/Role",
      "BillingEventsConsumer/Role",
      "OutboxEventsConsumer/Role",
      "MailEventsConsumer/Role",
      "Sweep/Role",
      "Migrate/Role",
      "AddStaff/Role",
    ],
    reason:
      "Network interfaces, which Lambda makes with this role and EC2 cannot narrow (a deny keeps the function's own " +
      "code from using them), and X-Ray's writes, which take no resource.",
  },
  {
    id: HOST_QUEUES,
    at: [
      "Api/Role",
      "Agent/Role",
      "BillingEventsConsumer/Role",
      "OutboxEventsConsumer/Role",
      "Sweep/Role",
      "Hosts/Role",
    ],
    reason:
      "Hosts' queues are made at run time under this prefix. A host's own session is cut down to its one queue.",
  },
  {
    id: "AwsSolutions-APIG4",
    at: ["PublicApi"],
    reason:
      "The API authenticates sessions, tokens and agents itself, and has public routes; the webhook checks Stripe's signature.",
  },
  {
    id: "AwsSolutions-CFR1",
    at: ["Front/Distribution"],
    reason: "Customers and hosts may be anywhere.",
  },
  {
    id: "AwsSolutions-CFR3",
    at: ["Front/Distribution"],
    reason:
      "Every request that is let through is a line of the API's own log; what is refused, the web ACL counts and samples.",
  },
  {
    id: "AwsSolutions-CFR4",
    at: ["Front/Distribution"],
    reason:
      "Of CloudFront's own name, whose policy is fixed. With a name of one's own it is TLS 1.2.",
  },
  {
    id: "AwsSolutions-SMG4",
    at: ["StripeSecret"],
    reason:
      "Stripe issues the key: it is rolled in Stripe's dashboard (docs/runbooks/deploy-aws.md).",
  },
  {
    id: "AwsSolutions-SMG4",
    at: ["EntranceSecret"],
    reason:
      "CloudFront and the functions must change over together, one after the other (docs/runbooks/entrance-secret.md).",
  },
  {
    id: "AwsSolutions-SMG4",
    at: ["AuthSecret"],
    reason: "It encrypts stored second factors: a rotation would lock their owners out.",
  },
  {
    id: "AwsSolutions-SMG4",
    at: ["SealingSecret"],
    reason:
      "It seals passwords that live for a week at most: a rotation would lose those not yet taken.",
  },
  {
    id: "AwsSolutions-SMG4",
    at: [
      "Database/Cluster/Secret",
      "Database/LoginOfAddStaff",
      "Database/LoginOfApi",
      "Database/LoginOfAgent",
      "Database/LoginOfLogIn",
      "Database/LoginOfStripeWebhook",
      "Database/LoginOfBillingEventsConsumer",
      "Database/LoginOfOutboxEventsConsumer",
      "Database/LoginOfMailEventsConsumer",
      "Database/LoginOfSweep",
    ],
    reason:
      "A warm Lambda keeps the password that it started with, so that a rotation at a random hour would fail its " +
      "next connection. It is rotated by hand, with a deployment after it (docs/runbooks/deploy-aws.md).",
  },
  {
    id: "AwsSolutions-RDS10",
    at: ["Database/Cluster"],
    stages: ["small"],
    reason: "The small stage may be thrown away; deleting it leaves a snapshot.",
  },
  {
    id: "AwsSolutions-EC28",
    at: ["Network"],
    stages: ["small"],
    reason: "The alarm on the NAT instance reads its status check, which basic monitoring has.",
  },
  {
    id: "AwsSolutions-EC29",
    at: ["Network"],
    stages: ["small"],
    reason:
      "The NAT instance holds nothing and is replaced by deployments; protection would make them fail.",
  },
];

/** The one place where findings are acknowledged. Each is tied to its constructs, so that a new one elsewhere shows. */
export function acknowledgeFindings(stack: IConstruct, stage: Stage): void {
  for (const { id, at, reason, stages } of ACKNOWLEDGED) {
    if (stages && !stages.includes(stage)) continue;
    for (const path of at) {
      const construct = path
        .split("/")
        .reduce((parent, name) => parent.node.findChild(name), stack);
      Validations.of(construct).acknowledge({ id, reason });
    }
  }
}
