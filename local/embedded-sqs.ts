import { CreateQueueCommand, SQSClient } from "@aws-sdk/client-sqs";
import { buildApp } from "fauxqs";
import type { WorkQueue } from "#core/ports.ts";
import { refuseLikeSqs } from "./refuse-like-sqs.ts";

export const SQS_REGION = "us-east-1";
/** As the CDK stack has it: after so many tries a message goes to the dead-letter queue. */
const MAX_RECEIVES = 5;

export type EmbeddedSqs = Readonly<{
  url: string;
  clientConfig: ConstructorParameters<typeof SQSClient>[0] & object;
  client: SQSClient;
  urls: Readonly<Record<WorkQueue, string>>;
  stop: () => Promise<void>;
}>;

/** SQS in memory (`fauxqs`), as strict as the real one: a restart forgets doorbells, which must not matter. */
export async function startEmbeddedSqs(port: number): Promise<EmbeddedSqs> {
  // Its own start listens on every interface, and names queues by host names that not every machine resolves.
  const server = buildApp({ logger: false });
  refuseLikeSqs(server);
  await server.listen({ port, host: "127.0.0.1" });
  const url = `http://127.0.0.1:${port}`;
  const clientConfig = {
    region: SQS_REGION,
    endpoint: url,
    credentials: { accessKeyId: "local", secretAccessKey: "local" },
  };
  const client = new SQSClient(clientConfig);
  const make = async (name: string, attributes: Record<string, string> = {}) => {
    const made = await client.send(
      new CreateQueueCommand({ QueueName: name, Attributes: attributes }),
    );
    if (made.QueueUrl === undefined) throw new Error(`the embedded SQS made no ${name}`);
    return made.QueueUrl;
  };
  const withDlq = async (name: WorkQueue) => {
    await make(`berth-${name}-dlq`);
    return make(`berth-${name}`, {
      VisibilityTimeout: "30",
      RedrivePolicy: JSON.stringify({
        deadLetterTargetArn: `arn:aws:sqs:${SQS_REGION}:000000000000:berth-${name}-dlq`,
        maxReceiveCount: MAX_RECEIVES,
      }),
    });
  };
  return {
    url,
    clientConfig,
    client,
    urls: {
      purchases: await withDlq("purchases"),
      "billing-events": await withDlq("billing-events"),
      "outbox-events": await withDlq("outbox-events"),
    },
    stop: async () => {
      client.destroy();
      server.server.closeAllConnections(); // long polls would hold it up
      await server.close();
    },
  };
}
