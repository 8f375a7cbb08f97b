import { createTransport } from "nodemailer";
import type { Mail } from "#core/ports.ts";

const ANSWER_WITHIN_MS = 10_000;

/**
 * Sends mail by SMTP, for whoever runs Berth without AWS: a connection for each mail, and one try, since whoever sends comes
 * again. `url`: as `smtps://user:password@host:465`, or `smtp://…:587`, which goes on by STARTTLS where the server has that, and
 * must with `?requireTLS=true`. A mail has the same Message-ID at each try, by which many programs show what came twice once.
 * Throws the server's code, and nothing of what it says: that may name the address.
 */
export function createSmtpMail(options: {
  url: string;
  from: string;
  answerWithinMs?: number;
}): Mail {
  const within = options.answerWithinMs ?? ANSWER_WITHIN_MS;
  const transport = createTransport({
    url: options.url,
    connectionTimeout: within,
    greetingTimeout: within,
    socketTimeout: within,
    dnsTimeout: within,
    // A letter is text: nothing in it is a file's name, or to be fetched.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const domain = options.from.slice(options.from.lastIndexOf("@") + 1).replaceAll(/[^\w.-]/g, "");
  return {
    send: async ({ id, to, subject, text, html }) => {
      const sent = transport.sendMail({
        from: options.from,
        // As an object it is one address, whatever is in it.
        to: { name: "", address: to },
        subject,
        text,
        html,
        messageId: `<${id}@${domain}>`,
      });
      const failed = await sent.then(() => undefined, codeOf);
      if (failed !== undefined) throw new Error(`mail: ${failed}`);
    },
  };
}

/** What nodemailer and the server call it, as `EENVELOPE 550`. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  const answered = "responseCode" in error ? ` ${String(error.responseCode)}` : "";
  return `${code}${answered === " undefined" ? "" : answered}`;
}
