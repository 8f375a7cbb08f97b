import type { STSClientConfig } from "@aws-sdk/client-sts";
import type { Clock, HostCredentials } from "#core/ports.ts";

/** Role chaining caps at an hour (facts/aws); agents renew at two thirds. */
const DURATION_S = 3600;

/** What a host may do: take messages from its own queue. The session's rights are the role's *and* this policy's. */
export const hostQueuePolicy = (queueArn: string) => ({
  Version: "2012-10-17",
  Statement: [
    {
      Effect: "Allow",
      Action: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"],
      Resource: queueArn,
    },
  ],
});

/** `https://sqs.<region>.amazonaws.com/<account>/<name>` → the queue's ARN. */
export function queueArnOf(queueUrl: string, region: string): string {
  // A name with a wildcard in it would open other hosts' queues.
  const path = /^\/(\d{12})\/([\w-]{1,80})$/.exec(new URL(queueUrl).pathname);
  if (!path) throw new Error(`not a queue's URL: ${queueUrl}`);
  return `arn:aws:sqs:${region}:${path[1]}:${path[2]}`;
}

/** Credentials from STS, cut down to one queue by an inline session policy. */
export function createStsHostCredentials(options: {
  roleArn: string;
  region: string;
  /** Where STS is, when it is not AWS's own. */
  client?: STSClientConfig;
}): HostCredentials {
  // Loaded at the first call: most instances of the API never make one.
  const open = async () => {
    const sts = await import("@aws-sdk/client-sts");
    return { sts, client: new sts.STSClient({ region: options.region, ...options.client }) };
  };
  let opened: ReturnType<typeof open> | undefined;
  return {
    forQueue: async ({ hostId, queueUrl }) => {
      const { sts, client } = await (opened ??= open());
      const { Credentials: c } = await client.send(
        new sts.AssumeRoleCommand({
          RoleArn: options.roleArn,
          RoleSessionName: `berth-host-${hostId}`,
          DurationSeconds: DURATION_S,
          Policy: JSON.stringify(hostQueuePolicy(queueArnOf(queueUrl, options.region))),
        }),
      );
      if (!c?.AccessKeyId || !c.SecretAccessKey || !c.SessionToken || !c.Expiration)
        throw new Error("STS answered without credentials");
      return {
        region: options.region,
        accessKeyId: c.AccessKeyId,
        secretAccessKey: c.SecretAccessKey,
        sessionToken: c.SessionToken,
        expiresAt: c.Expiration,
      };
    },
  };
}

/** Fixed credentials, for an SQS that knows no authorisation (the embedded one). */
export const createStaticHostCredentials = (options: {
  clock: Pick<Clock, "now">;
  region: string;
}): HostCredentials => ({
  forQueue: async () => ({
    region: options.region,
    accessKeyId: "local",
    secretAccessKey: "local",
    sessionToken: null,
    expiresAt: new Date(+options.clock.now() + DURATION_S * 1000),
  }),
});
