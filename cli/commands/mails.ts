import type { Answered } from "../api/client.ts";
import { accountId } from "../names.ts";
import { NOTHING, when, yesNo } from "../output/format.ts";
import { columnsOf, type Block } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import { command, flag, optional, required } from "./command.ts";

const MAIL = required("a mail's id", { value: "mail" });

type Details = Answered<"showMail">["value"];

const mailBlocks = (mail: Details): readonly Block[] => [
  {
    kind: "fields",
    fields: [
      ["id", mail.id],
      ["of", mail.kind],
      ["state", mail.state],
      ["to", mail.to ?? NOTHING],
      ["subject", mail.subject ?? NOTHING],
      ["fell due", when(mail.createdAt)],
      ["sent, or not", when(mail.endedAt)],
      ["next try", when(mail.nextTryAt)],
      ["tries", String(mail.tries)],
      ["why not", mail.lastError ?? NOTHING],
      ["can be sent again", yesNo(mail.resendable)],
      ...(mail.refusal === null
        ? []
        : ([
            ["its address", `is mailed no more since ${when(mail.refusal.notedAt)}`],
            ["for its", `${mail.refusal.kind}: ${mail.refusal.reason}`],
          ] as const)),
    ],
  },
  ...(mail.text === null
    ? []
    : [{ kind: "lines" as const, lines: mail.text.trimEnd().split("\n") }]),
];

export const mailCommands = [
  command("mail list", "What was mailed to customers, and what waits", {
    staff: true,
    options: {
      ...RANGE,
      account: optional("of this account", { names: "account", value: "account" }),
      kind: optional("of this kind, such as vm_ready", { value: "word" }),
      state: optional("waiting, sent, dropped, given_up, bounced or complained_of", {
        value: "word",
      }),
    },
    run: async (session, _, { limit, all, cursor, account, ...words }) => {
      const range = { limit, all, cursor };
      const of = account === undefined ? undefined : await accountId(session, account);
      // Words that this program does not know are the API's to judge.
      const query = { ...Object(words), ...(of !== undefined && { accountId: of }) };
      const { items, json, next } = await listed(session, "listMails", { query }, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf("ID!", "FELL DUE", "OF", "STATE", "TO?", "SUBJECT?"),
            rows: items.map((mail) => [
              mail.id,
              when(mail.createdAt),
              mail.kind,
              mail.state,
              mail.to ?? NOTHING,
              mail.subject ?? NOTHING,
            ]),
          },
        ],
      };
    },
  }),

  command("mail show", "A mail, with what it says: secrets are masked", {
    staff: true,
    args: { mail: MAIL },
    run: async (session, { mail: id }) => {
      const client = await session.client();
      const { value, raw } = await client.call("showMail", { path: { id } });
      return { json: raw, ids: [value.id], blocks: mailBlocks(value) };
    },
  }),

  command("mail clear", "Mail a mail's address again, though it refused one", {
    staff: true,
    args: { mail: MAIL },
    options: { yes: flag("do not ask") },
    run: async (session, { mail: id }, { yes }) => {
      await session.confirm(`Mail the address of ${id} again?`, yes);
      const client = await session.client();
      const { value, raw } = await client.call("clearMailAddress", { path: { id } });
      return {
        json: raw,
        ids: [value.id],
        blocks: [{ kind: "lines", lines: [`mail goes to ${value.to ?? "nobody"}`] }],
        next: value.resendable ? `berth mail resend ${value.id}` : undefined,
      };
    },
  }),

  command("mail resend", "Send a mail again, as it was", {
    staff: true,
    args: { mail: MAIL },
    options: { yes: flag("do not ask") },
    run: async (session, { mail: id }, { yes }) => {
      await session.confirm(`Send the mail ${id} again?`, yes);
      const client = await session.client();
      const { value, raw } = await client.call("resendMail", { path: { id } });
      return {
        json: raw,
        ids: [value.id],
        blocks: [{ kind: "lines", lines: [`${value.id} goes out within a minute`] }],
      };
    },
  }),
];
