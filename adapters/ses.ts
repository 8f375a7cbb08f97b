import { MAIL_TAG } from "#core/messages/mail.ts";
import type { Mail } from "#core/ports.ts";
import { postSigned, Surroundings } from "./signed-post.ts";

const ANSWER_WITHIN_MS = 10_000;

/**
 * Sends mail by AWS SES (`SendEmail` of its API v2): one signed POST, as `secrets.ts` makes (ADR 0016), and one try, since
 * whoever sends comes again. Throws what AWS calls the error, and nothing else: an answer may name the address.
 */
export function createSesMail(options: {
  /** An address whose identity SES has verified; without one nothing can be sent. */
  from: string | undefined;
  /** What is told of a mail by this configuration set's events, such as its bounce, is told by the mail's id. */
  configurationSet?: string | undefined;
  env?: Readonly<Record<string, string | undefined>>;
  answerWithinMs?: number;
}): Mail {
  return {
    send: async ({ id, to, subject, text, html }) => {
      if (options.from === undefined)
        throw new Error("mail has no address to be from: BERTH_MAIL_FROM is not set");
      const of = Surroundings.parse(options.env ?? process.env);
      const inUtf8 = (said: string) => ({ Data: said, Charset: "UTF-8" });
      const { status, errorType, said } = await postSigned(
        {
          service: "ses",
          endpoint:
            of.AWS_ENDPOINT_URL_SESV2 ??
            of.AWS_ENDPOINT_URL ??
            `https://email.${of.AWS_REGION}.amazonaws.com`,
          path: "/v2/email/outbound-emails",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({
            FromEmailAddress: options.from,
            Destination: { ToAddresses: [to] },
            ...(options.configurationSet !== undefined && {
              ConfigurationSetName: options.configurationSet,
            }),
            EmailTags: [{ Name: MAIL_TAG, Value: id }],
            Content: {
              Simple: {
                Subject: inUtf8(subject),
                Body: { Text: inUtf8(text), Html: inUtf8(html) },
              },
            },
          }),
        },
        of,
        options.answerWithinMs ?? ANSWER_WITHIN_MS,
      );
      if (status === 200) return;
      throw new Error(`mail: ${status === 0 ? said : (errorType ?? `status ${status}`)}`);
    },
  };
}
