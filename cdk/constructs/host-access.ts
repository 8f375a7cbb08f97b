import { Duration, Stack } from "aws-cdk-lib";
import { ArnPrincipal, PolicyStatement, Role } from "aws-cdk-lib/aws-iam";
import { Construct } from "constructs";
import type { BerthFunction } from "./berth-function.ts";

/** As `hostQueueName` of `adapters/sqs.ts` begins. */
const HOST_QUEUES = "berth-host-*";

/**
 * Hosts' doorbells. Their queues are made at run time by whoever rings first, one a host; a host's credentials are a
 * session of the role here, cut down to the one queue by the policy that `adapters/sts.ts` sends along. What they would be
 * without that policy is the role's: any host's queue, nothing else.
 */
export class HostAccess extends Construct {
  readonly role: Role;
  readonly #queues: string;

  constructor(scope: Construct, id: string, props: { agent: BerthFunction }) {
    super(scope, id);
    const { agent } = props;
    this.#queues = Stack.of(this).formatArn({ service: "sqs", resource: HOST_QUEUES });
    this.role = new Role(this, "Role", {
      description: "Sessions of hosts: their own queue, by the session's policy",
      assumedBy: new ArnPrincipal(agent.role.roleArn),
      // Role chaining allows no more.
      maxSessionDuration: Duration.hours(1),
    });
    this.role.addToPolicy(
      new PolicyStatement({
        actions: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"],
        resources: [this.#queues],
      }),
    );
    agent.allow(["sts:AssumeRole"], [this.role.roleArn]);
    agent.function.addEnvironment("BERTH_HOST_ROLE_ARN", this.role.roleArn);
  }

  /** Rings hosts: whoever relays the outbox. The first to ring a host makes its queue. */
  mayRing(functions: readonly BerthFunction[]): void {
    for (const each of functions)
      each.allow(["sqs:SendMessage", "sqs:CreateQueue", "sqs:GetQueueUrl"], [this.#queues]);
  }
}
