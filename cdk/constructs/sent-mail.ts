import { EventBus, Rule } from "aws-cdk-lib/aws-events";
import { SqsQueue } from "aws-cdk-lib/aws-events-targets";
import { ConfigurationSet, EmailSendingEvent, EventDestination } from "aws-cdk-lib/aws-ses";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";

/**
 * What SES tells of mail that was sent by this configuration set: bounces and complaints, by EventBridge, into a queue. SES speaks to the
 * account's default bus alone (docs.aws.amazon.com/ses/latest/dg/event-publishing-add-event-destination-eventbridge.html), which others may
 * use too: the rule takes what bears the set's own name.
 */
export class SentMail extends Construct {
  readonly configurationSet: ConfigurationSet;

  constructor(scope: Construct, id: string, { into }: { into: IQueue }) {
    super(scope, id);
    this.configurationSet = new ConfigurationSet(this, "Set");
    const bus = EventBus.fromEventBusName(this, "Bus", "default");
    this.configurationSet.addEventDestination("ToBus", {
      destination: EventDestination.eventBus(bus),
      events: [EmailSendingEvent.BOUNCE, EmailSendingEvent.COMPLAINT],
    });
    new Rule(this, "Rule", {
      description: "Berth: what became of its mails",
      eventPattern: {
        source: ["aws.ses"],
        detailType: ["Email Bounced", "Email Complaint Received"],
        detail: {
          mail: {
            tags: { "ses:configuration-set": [this.configurationSet.configurationSetName] },
          },
        },
      },
    }).addTarget(new SqsQueue(into));
  }
}
