import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { readMailEvent } from "#core/messages/mail-event.ts";
import { aBounce, aComplaint, aDelivery } from "#test/harness/ses-events.ts";

const MAIL = "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e5f6";
const GONE = "Permanent/General: smtp; 550 5.1.1 user unknown";

describe("an event of SES'", () => {
  test("of a bounce for good says that the address refuses", () => {
    expect(readMailEvent(aBounce(MAIL))).toEqual({
      mailId: MAIL,
      told: "refused",
      kind: "bounce",
      reason: GONE,
    });
  });

  test.each(["Transient", "Undetermined"])("of a bounce that is %s is noted alone", (type) => {
    const said = { bounceSubType: "MailboxFull", bouncedRecipients: [] };
    expect(readMailEvent(aBounce(MAIL, type, said))).toEqual({
      mailId: MAIL,
      told: "noted",
      reason: `${type}/MailboxFull`,
    });
  });

  test.each([
    [{}, "Complaint/abuse"],
    [{ complaintFeedbackType: undefined, complaintSubType: undefined }, "Complaint/unspecified"],
    [{ complaintSubType: "OnAccountSuppressionList" }, "Complaint/OnAccountSuppressionList"],
  ])("of a complaint (%j) says that the address wants none", (over, reason) => {
    const read = readMailEvent(aComplaint(MAIL, over));
    expect(read).toEqual({ mailId: MAIL, told: "refused", kind: "complaint", reason });
  });

  test.each([
    [
      "of a mail that was taken out of the spam folder",
      aComplaint(MAIL, { complaintFeedbackType: "not-spam" }),
    ],
    ["of a delivery", aDelivery(MAIL)],
    ["of somebody else's mail", aBounce(null)],
  ])("%s asks for nothing", (_, event) => {
    expect(readMailEvent(event)).toBeUndefined();
  });

  test.each([
    ["of nobody", {}],
    ["of another sender", { ...aBounce(MAIL), source: "custom" }],
    ["without its bounce", { ...aBounce(MAIL), detail: { mail: {} } }],
    ["with a type that SES does not know", aBounce(MAIL, "Eternal")],
    ["with an id that is none", aBounce("'; drop table mails")],
  ])("%s is none", (_, event) => {
    expect(() => readMailEvent(event)).toThrow(z.ZodError);
  });

  test("says what a stranger's server said, cut short and on one line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 2000 }), (diagnosticCode) => {
        const read = readMailEvent(
          aBounce(MAIL, "Permanent", { bouncedRecipients: [{ diagnosticCode }] }),
        );
        expect(read?.reason.length).toBeLessThanOrEqual(300);
        expect(read?.reason).not.toMatch(/\p{Cc}/u);
      }),
    );
  });
});
