import { z } from "@hono/zod-openapi";
import { Instant } from "#core/contracts/values.ts";
import { idIn, idOut } from "#core/ids.ts";
import { MAIL_KINDS, MAIL_REFUSALS, MAIL_STATES } from "#core/messages/mail.ts";
import { use } from "#core/contracts/named.ts";
import { LocaleName } from "./accounts.ts";
import { OrderedPageQuery, pageOf } from "./page.ts";

const Kind = z.enum(MAIL_KINDS).openapi("MailKind");
const State = z.enum(MAIL_STATES).openapi("MailState", {
  description:
    "`dropped`: when its turn came there was nobody to tell, or nothing to tell any more. `given_up`: nobody took it for three days. `bounced`: it was sent, and came back for good. `complained_of`: it arrived, and was called spam.",
});

export const MailQuery = OrderedPageQuery.extend({
  accountId: idIn("account")
    .optional()
    .openapi({ param: { description: "Whom it is for." } }),
  kind: Kind.optional().openapi({ param: { description: "What it tells of." } }),
  state: State.optional().openapi({ param: { description: "What became of it." } }),
});

export const MailView = z
  .object({
    id: idOut("mail"),
    kind: Kind,
    state: State,
    accountId: idOut("account")
      .nullable()
      .openapi({ description: "null until its turn has come." }),
    to: z.string().nullable(),
    locale: use(LocaleName).nullable(),
    subject: z.string().nullable(),
    createdAt: Instant,
    endedAt: Instant.nullable().openapi({
      description: "When it was sent, or was not; null: it waits.",
    }),
    nextTryAt: Instant.nullable(),
    tries: z.int(),
    lastError: z.string().nullable().openapi({ description: "Why it was not taken, or not sent." }),
    resentFrom: idOut("mail")
      .nullable()
      .openapi({ description: "The one that staff had sent again." }),
  })
  .openapi("Mail");
export type MailView = z.infer<typeof MailView>;

const Refusal = z
  .object({
    kind: z.enum(MAIL_REFUSALS).openapi("MailRefusalKind"),
    reason: z.string().openapi({ description: "As whoever carries mail tells it." }),
    notedAt: Instant,
  })
  .openapi("MailRefusal", { description: "Why nothing more is mailed to an address." });

export const MailDetailsView = z
  .object({
    ...MailView.shape,
    text: z.string().nullable().openapi({
      description:
        "What it says, by today's words; its secret is masked. null: it was never filled in.",
    }),
    resendable: z
      .boolean()
      .openapi({ description: "False while it waits, and of what holds a secret." }),
    refusal: use(Refusal).nullable().openapi({
      description:
        "Why nothing more is mailed to its address, but for a link that proves it; null: mail goes there.",
    }),
  })
  .openapi("MailDetails");
export type MailDetailsView = z.infer<typeof MailDetailsView>;

export const MailPage = pageOf("MailPage", MailView);
