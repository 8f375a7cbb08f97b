import { GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { count, isNull } from "drizzle-orm";
import type { Db } from "#db/client.ts";
import { inbox, outbox } from "#db/schema/messages.ts";
import type { EmbeddedSqs } from "./embedded-sqs.ts";

/** What lies in the inbox, the outbox and the queues, by each: messages that nobody is through with. */
export async function unfinishedWork(
  db: Db,
  sqs: Pick<EmbeddedSqs, "client" | "urls">,
): Promise<{ inbox: number; outbox: number; queues: number }> {
  const [unapplied, unsent, queued] = await Promise.all([
    db.select({ n: count() }).from(inbox).where(isNull(inbox.appliedAt)),
    db.select({ n: count() }).from(outbox).where(isNull(outbox.sentAt)),
    Promise.all(Object.values(sqs.urls).map((url) => depth(sqs, url))),
  ]);
  return {
    inbox: unapplied[0]?.n ?? 0,
    outbox: unsent[0]?.n ?? 0,
    queues: queued.reduce((sum, n) => sum + n, 0),
  };
}

async function depth(sqs: Pick<EmbeddedSqs, "client">, QueueUrl: string): Promise<number> {
  const { Attributes = {} } = await sqs.client.send(
    new GetQueueAttributesCommand({
      QueueUrl,
      AttributeNames: [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
      ],
    }),
  );
  return Object.values(Attributes).reduce((sum, n) => sum + Number(n), 0);
}
