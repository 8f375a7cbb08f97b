import { z } from "zod";
import { MAIL_TAG, type MailRefusal } from "./mail.ts";

/** What is told of a mail that was sent. `refused`: for good. `noted`: it may go another time. */
export type MailEvent = Readonly<
  | { mailId: string; told: "refused"; kind: MailRefusal; reason: string }
  | { mailId: string; told: "noted"; reason: string }
>;

/** What is said by others is cut to this; the database holds it too. */
const LONGEST_REASON = 300;
const Mail = z.object({
  // A tag of an automatic kind beside ours, such as `ses:source-ip`, is none of our business.
  tags: z.object({ [MAIL_TAG]: z.tuple([z.uuid()]).optional() }).optional(),
});
const Bounce = z.object({
  bounceType: z.enum(["Permanent", "Transient", "Undetermined"]),
  bounceSubType: z.string(),
  bouncedRecipients: z.array(z.object({ diagnosticCode: z.string().optional() })),
});
const Complaint = z.object({
  complaintSubType: z.string().nullish(),
  complaintFeedbackType: z.string().nullish(),
});
const OfMail = z.discriminatedUnion("detail-type", [
  z.object({
    "detail-type": z.literal("Email Bounced"),
    detail: z.object({ bounce: Bounce, mail: Mail }),
  }),
  z.object({
    "detail-type": z.literal("Email Complaint Received"),
    detail: z.object({ complaint: Complaint, mail: Mail }),
  }),
]);
const Envelope = z.object({ source: z.literal("aws.ses"), "detail-type": z.string() });
const READ: ReadonlySet<string> = new Set(OfMail.options.map((o) => o.shape["detail-type"].value));

/**
 * Reads what SES tells EventBridge of a mail (docs.aws.amazon.com/ses/latest/dg/monitoring-eventbridge.html; its `detail` is as in
 * event-publishing-retrieving-sns-contents.html). Throws for what is no event of SES'.
 *
 * @returns undefined for what is none of ours, or asks for nothing: of another sender in the account, or of another kind.
 */
export function readMailEvent(body: unknown): MailEvent | undefined {
  if (!READ.has(Envelope.parse(body)["detail-type"])) return undefined;
  const event = OfMail.parse(body);
  const mailId = event.detail.mail.tags?.[MAIL_TAG]?.[0];
  if (mailId === undefined) return undefined;
  if (event["detail-type"] === "Email Complaint Received") {
    const { complaintFeedbackType: feedback, complaintSubType: subType } = event.detail.complaint;
    // Somebody took it out of their spam folder: the opposite of a complaint, which comes the same way.
    if (feedback === "not-spam") return undefined;
    const reason = said("Complaint", subType ?? feedback ?? "unspecified");
    return { mailId, told: "refused", kind: "complaint", reason };
  }
  const { bounceType, bounceSubType, bouncedRecipients } = event.detail.bounce;
  const reason = said(bounceType, bounceSubType, bouncedRecipients[0]?.diagnosticCode);
  return bounceType === "Permanent"
    ? { mailId, told: "refused", kind: "bounce", reason }
    : { mailId, told: "noted", reason };
}

/** Control characters are no part of what is shown to staff. */
const said = (type: string, subType: string, diagnostic?: string): string =>
  `${type}/${subType}${diagnostic === undefined ? "" : `: ${diagnostic}`}`
    .replaceAll(/\p{Cc}+/gu, " ")
    .slice(0, LONGEST_REASON);
