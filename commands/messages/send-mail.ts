import type { Locale } from "#core/messages/locale.ts";
import { nextTryAt, provesAddress, type MailKind } from "#core/messages/mail.ts";
import { addressOf, parseLetter, type FilledLetter } from "#core/messages/mail-values.ts";
import { renderMail } from "#core/messages/render-mail.ts";
import {
  endMail,
  fillMail,
  putOffMail,
  recipientOf,
  takeDueMails,
  type TakenMail,
} from "#db/messages/mails.ts";
import { refusalOf } from "#db/messages/refusing-addresses.ts";
import type { Tx } from "#db/client.ts";
import { inTransaction } from "#db/transaction.ts";
import type { Deps } from "#commands/deps.ts";

export type MailDeps = Pick<Deps, "db" | "clock" | "secrets" | "mail" | "log" | "settings">;

/** What a mail says when its turn has come: whom it is for, and its letter. */
type Filled = Readonly<{
  accountId: string;
  to: string;
  locale: Locale;
  letter: FilledLetter;
  /** Of a letter that holds a secret, with that. It goes into the mail, and is stored nowhere. */
  link?: string;
}>;
/** Why there is nothing to send: any more, or yet. */
type NotNow = Readonly<{ drop: string }> | Readonly<{ wait: string }>;
type Ended = Readonly<{ isSent: boolean; letter: FilledLetter | null; now: Date }>;

/** How mails of a kind are filled; each area has those of what it owns. */
export type Filler = Readonly<{
  /** Asked at each try, so that no mail says what is not so any more. */
  fill: (deps: MailDeps, mail: TakenMail) => Promise<Filled | NotNow>;
  /** Notes, in the transaction that ends the mail, what became of it. */
  ended?: (tx: Tx, mail: TakenMail, ended: Ended) => Promise<void>;
}>;
export type Fillers = Readonly<Record<MailKind, Filler>>;

export type MailOutcome = "sent" | "dropped" | "put_off" | "given_up";

/** What the mail program said is cut to this. It names no address (`Mail`). */
const LONGEST_ERROR = 300;

/**
 * Sends one mail now, if its turn has come and nobody else does: what has just fallen due need not wait for the sweep. It throws
 * only when the database cannot be reached; a mail that is not taken waits for its next try.
 */
export async function sendMail(
  deps: MailDeps,
  id: string,
  filler: Filler,
): Promise<MailOutcome | "nothing_to_do"> {
  const [taken] = await takeDueMails(deps.db, { now: deps.clock.now(), limit: 1, id });
  return taken === undefined ? "nothing_to_do" : handOver(deps, taken, filler);
}

/** Two at once are some fifteen a second, about as many as SES lets a new sender have; and a Lambda has two connections. */
const AT_ONCE = 2;
const GOES_ON_MS = 20_000;
/** After so many in a row that were not taken, whoever takes mail is away: the rest wait for the next sweep. */
const MOST_FAILURES = 3;

/** Sends what is due, those first that wait longest. Throws, at its end, when mails were given up: staff are to hear of it. */
export async function sendDueMails(
  deps: MailDeps,
  fillers: Fillers,
): Promise<Record<MailOutcome, number>> {
  const counts = { sent: 0, dropped: 0, put_off: 0, given_up: 0 };
  const until = +deps.clock.now() + GOES_ON_MS;
  const work = async () => {
    for (let failures = 0; failures < MOST_FAILURES && +deps.clock.now() <= until;) {
      const [taken] = await takeDueMails(deps.db, { now: deps.clock.now(), limit: 1 });
      if (taken === undefined) return;
      const outcome = await handOver(deps, taken, fillers[taken.kind]);
      counts[outcome]++;
      failures = outcome === "put_off" ? failures + 1 : 0;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (counts.given_up > 0)
    throw new Error(`${counts.given_up} mails were given up: nobody took them for days`);
  return counts;
}

async function handOver(deps: MailDeps, mail: TakenMail, filler: Filler): Promise<MailOutcome> {
  let letter: FilledLetter | null = null;
  const end = (state: Exclude<MailOutcome, "put_off">, lastError: string | null) =>
    inTransaction(deps.db, async (tx) => {
      const now = deps.clock.now();
      if (!(await endMail(tx, mail.id, { state, lastError, now }))) return state;
      // What is sent again tells of nothing that anybody waits for.
      if (mail.resentFrom === null)
        await filler.ended?.(tx, mail, { isSent: state === "sent", letter, now });
      return state;
    });
  const later = async (lastError: string) => {
    const next = nextTryAt(mail, deps.clock.now());
    if (next === null) return end("given_up", lastError);
    await putOffMail(deps.db, mail.id, { nextTryAt: next, lastError });
    return "put_off";
  };
  try {
    const filled = await (mail.resentFrom === null ? filler.fill(deps, mail) : asItWas(deps, mail));
    if ("drop" in filled) return await end("dropped", filled.drop);
    if ("wait" in filled) return await later(filled.wait);
    letter = filled.letter;
    const { accountId, to, locale, link } = filled;
    const shown = renderMail(letter, locale, link);
    const { subject } = shown;
    await fillMail(deps.db, mail.id, { accountId, to, locale, values: letter.values, subject });
    const refusal = provesAddress(mail.kind) ? undefined : await refusalOf(deps.db, to);
    if (refusal !== undefined) return await end("dropped", `address_refuses: ${refusal.kind}`);
    await deps.mail.send({ id: mail.id, to, ...shown });
  } catch (error) {
    deps.log.error("send_mail.failed", { mail_id: mail.id, kind: mail.kind, error });
    const lastError = (error instanceof Error ? error.message : "unknown").slice(0, LONGEST_ERROR);
    return later(lastError);
  }
  return end("sent", null);
}

/** Staff had it sent again: the same letter, to where the account's mail goes now, but for one that is of an address. */
async function asItWas(deps: MailDeps, mail: TakenMail): Promise<Filled | NotNow> {
  const recipient =
    mail.accountId === null ? undefined : await recipientOf(deps.db, mail.accountId);
  if (mail.accountId === null || recipient === undefined) return { drop: "nobody_to_mail" };
  const letter = parseLetter(mail.kind, mail.values);
  const to = addressOf(letter) ?? recipient.to;
  return { accountId: mail.accountId, to, locale: recipient.locale, letter };
}
