/*
 * What SES tells EventBridge, as its documentation shows it: the envelope of docs.aws.amazon.com/ses/latest/dg/monitoring-eventbridge.html,
 * with the records of event-publishing-retrieving-sns-examples.html as its detail. Only the tag with our mail's id is ours.
 */

const mail = (mailId: string | null) => ({
  timestamp: "2017-08-05T00:40:02.012Z",
  messageId: "EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000",
  source: "Sender Name <sender@example.com>",
  sourceArn: "arn:aws:ses:us-east-1:123456789012:identity/sender@example.com",
  sendingAccountId: "123456789012",
  destination: ["recipient@example.com"],
  headersTruncated: false,
  headers: [
    { name: "From", value: "Sender Name <sender@example.com>" },
    { name: "To", value: "recipient@example.com" },
    { name: "Subject", value: "Message sent from Amazon SES" },
    { name: "MIME-Version", value: "1.0" },
  ],
  commonHeaders: {
    from: ["Sender Name <sender@example.com>"],
    to: ["recipient@example.com"],
    messageId: "EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000",
    subject: "Message sent from Amazon SES",
  },
  tags: {
    "ses:configuration-set": ["ConfigSet"],
    "ses:source-ip": ["192.0.2.0"],
    "ses:from-domain": ["example.com"],
    "ses:caller-identity": ["ses_user"],
    ...(mailId !== null && { berth_mail: [mailId] }),
  },
});

const envelope = (detailType: string, detail: object) => ({
  version: "0",
  id: "12a18625-3328-4fd5-8b2a-0a1e2b3c4d5e",
  "detail-type": detailType,
  source: "aws.ses",
  account: "123456789012",
  time: "2017-08-05T00:41:03Z",
  region: "us-east-1",
  resources: ["arn:aws:ses:us-east-1:123456789012:configuration-set/ConfigSet"],
  detail,
});

/** A bounce of a mail of ours; null: of somebody else's. */
export const aBounce = (mailId: string | null, bounceType = "Permanent", over: object = {}) =>
  envelope("Email Bounced", {
    eventType: "Bounce",
    bounce: {
      bounceType,
      bounceSubType: "General",
      bouncedRecipients: [
        {
          emailAddress: "recipient@example.com",
          action: "failed",
          status: "5.1.1",
          diagnosticCode: "smtp; 550 5.1.1 user unknown",
        },
      ],
      timestamp: "2017-08-05T00:41:02.669Z",
      feedbackId: "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
      reportingMTA: "dsn; mta.example.com",
      ...over,
    },
    mail: mail(mailId),
  });

/** A complaint about a mail of ours. */
export const aComplaint = (mailId: string, over: object = {}) =>
  envelope("Email Complaint Received", {
    eventType: "Complaint",
    complaint: {
      complainedRecipients: [{ emailAddress: "recipient@example.com" }],
      timestamp: "2017-08-05T00:41:02.669Z",
      feedbackId: "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
      userAgent:
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/60.0.3112.90 Safari/537.36",
      complaintFeedbackType: "abuse",
      complaintSubType: null,
      arrivalDate: "2017-08-05T00:41:02.669Z",
      ...over,
    },
    mail: mail(mailId),
  });

/** One of a kind that nothing is done about. */
export const aDelivery = (mailId: string) =>
  envelope("Email Delivered", {
    eventType: "Delivery",
    mail: mail(mailId),
    delivery: { timestamp: "2017-08-05T00:41:02.669Z", recipients: ["recipient@example.com"] },
  });
