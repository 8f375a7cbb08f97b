import { Duration } from "aws-cdk-lib";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { FIVE_MINUTES, type Alarms } from "./alarms.ts";

/** Lambda's own rule for queues it polls: fewer, and a message is seen again while it is still worked on. */
const VISIBILITY_TIMEOUTS = 6;
/** Tries of a message before it is set aside. */
const MAX_RECEIVES = 5;
/** A message that waits longer has failed at least once, or the consumer is down. */
const MOST_AGE = Duration.minutes(15);

/**
 * A queue that a Lambda works from, as every queue of Berth's must be: encrypted, spoken to over TLS only, with a
 * dead-letter queue, an alarm on messages that wait, and an alarm on messages that were set aside.
 */
export class QueueWithAlarms extends Construct {
  readonly queue: Queue;
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string, props: { alarms: Alarms; consumerTimeout: Duration }) {
    super(scope, id);
    const secured = { encryption: QueueEncryption.SQS_MANAGED, enforceSSL: true };
    this.deadLetters = new Queue(this, "DeadLetters", {
      ...secured,
      retentionPeriod: Duration.days(14),
    });
    this.queue = new Queue(this, "Queue", {
      ...secured,
      // A message keeps its age when it is set aside; this leaves ten days to look at it.
      retentionPeriod: Duration.days(4),
      visibilityTimeout: Duration.seconds(props.consumerTimeout.toSeconds() * VISIBILITY_TIMEOUTS),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: MAX_RECEIVES },
    });
    props.alarms.when(this, "Waiting", {
      metric: this.queue.metricApproximateAgeOfOldestMessage(FIVE_MINUTES),
      threshold: MOST_AGE.toSeconds(),
      description: `${id}: a message waits longer than ${MOST_AGE.toMinutes()} minutes. Is its consumer failing? The sweep sends again what is lost.`,
    });
    props.alarms.when(this, "SetAside", {
      metric: this.deadLetters.metricApproximateNumberOfMessagesVisible(FIVE_MINUTES),
      threshold: 1,
      description: `${id}: a message failed ${MAX_RECEIVES} times and lies in the dead-letter queue. Find its message_id in the consumer's log.`,
    });
  }
}
