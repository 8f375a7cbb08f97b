import { Role } from "#core/contracts/api/accounts.ts";
import { moneyText } from "#core/money-text.ts";
import type { Answered } from "../api/client.ts";
import { accountId } from "../names.ts";
import { listed as joined, NOTHING, when, yesNo } from "../output/format.ts";
import { columnsOf, toned, type Block } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import { INVOICE_COLUMNS, invoiceRow } from "./billing.ts";
import { command, count, flag, oneOf, optional, required, several } from "./command.ts";
import { VM_COLUMNS, vmRow } from "./vms.ts";

export const ACCOUNT = required("an account's id or e-mail address", {
  names: "account",
  value: "account",
});

type Details = Answered<"showAccount">["value"];

const table = (titles: readonly string[], rows: readonly (readonly string[])[]) =>
  ({ kind: "table", columns: columnsOf(...titles), rows }) as const;

const whoBlock = (account: Details): Block => ({
  kind: "fields",
  fields: [
    ["id", account.id],
    ["e-mail", `${account.email} (${account.emailVerified ? "proven" : "not proven"})`],
    ["name", account.name],
    ["role", account.staffRole === null ? account.role : `${account.role}, ${account.staffRole}`],
    ["second factor", yesNo(account.secondFactor)],
    ["since", when(account.createdAt)],
    ["closed", when(account.closedAt)],
    ...(account.money?.sums ?? []).map(
      ({ paid, open }) => ["money", `${moneyText(paid)} paid, ${moneyText(open)} open`] as const,
    ),
  ],
});

export const accountCommands = [
  command("whoami", "Whom the API takes you for, and what you may do", {
    run: async (session) => {
      const client = await session.client();
      const { value, raw } = await client.call("showMe", {});
      const role = value.staffRole === undefined ? value.role : `${value.role}, ${value.staffRole}`;
      return {
        json: raw,
        ids: [value.id],
        blocks: [
          {
            kind: "fields",
            fields: [
              ["at", (await session.origin()).origin],
              ["id", value.id],
              ["e-mail", value.email],
              ["name", value.name],
              ["role", role],
              ["may", joined(value.scopes)],
              ["written to in", value.locale],
              ...(value.currency === null ? [] : ([["pays in", value.currency]] as const)),
            ],
          },
        ],
      };
    },
  }),

  command("language", "Choose the language that you are written to in", {
    args: { language: required("en or ru", { value: "language" }) },
    run: async (session, { language }) => {
      const client = await session.client();
      // Words that this program does not know are the API's to judge.
      const { value, raw } = await client.call("changeMe", { body: Object({ locale: language }) });
      return {
        json: raw,
        ids: [value.id],
        blocks: [{ kind: "lines", lines: [`you are written to in ${value.locale}`] }],
      };
    },
  }),

  command("token list", "Your API tokens", {
    options: { ...RANGE },
    run: async (session, _, range) => {
      const { items, json, next } = await listed(session, "listTokens", {}, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          table(
            ["ID!", "NAME", "BEGINS", "LAST USED?", "ENDS?", "MAY"],
            items.map((token) => [
              token.id,
              token.name,
              token.start,
              when(token.lastUsedAt),
              when(token.expiresAt),
              joined(token.scopes),
            ]),
          ),
        ],
      };
    },
  }),

  command("token create", "Make an API token: its secret is shown this once", {
    args: { name: required("what you call it", { value: "name" }) },
    options: {
      scope: several("what it may do; may be given again (all that you may)", { value: "scope" }),
      days: count("how long it lasts", 3650),
    },
    run: async (session, { name }, { scope, days }) => {
      const client = await session.client();
      const me = (await client.call("showMe", {})).value;
      const { value, raw } = await client.call("createToken", {
        body: {
          name,
          // Words that this program does not know are the API's to judge.
          scopes: scope === undefined ? me.scopes : Object(scope),
          ...(days === undefined ? {} : { expiresInDays: days }),
        },
      });
      return {
        json: raw,
        ids: [value.secret],
        blocks: [
          {
            kind: "fields",
            fields: [
              ["id", value.token.id],
              ["may", joined(value.token.scopes)],
              ["ends", when(value.token.expiresAt)],
              ["secret", value.secret],
            ],
          },
        ],
        next: "keep the secret: it is shown this once",
      };
    },
  }),

  command("token revoke", "End an API token", {
    args: { token: required("a token's id", { names: "token", value: "token" }) },
    options: { yes: flag("do not ask") },
    run: async (session, { token }, { yes }) => {
      await session.confirm(`Revoke the token ${token}?`, yes);
      await (await session.client()).call("revokeToken", { path: { id: token } });
      return {
        json: { revoked: token },
        ids: [token],
        blocks: [{ kind: "lines", lines: [`${token} is no good any more`] }],
      };
    },
  }),

  command("search", "Find anything by what is known of it: an id, a name, an address", {
    staff: true,
    args: {
      words: required("an id, a host name, a label, an IP or e-mail address, a number", {
        value: "words",
      }),
    },
    options: { limit: count("how many of a kind at most (10)", 25) },
    run: async (session, { words: q }, { limit }) => {
      const client = await session.client();
      const { value, raw } = await client.call("search", { query: { q, limit } });
      return {
        json: raw,
        ids: value.items.map(({ id }) => id),
        next: value.more ? "--limit shows more; or say it more exactly" : undefined,
        blocks: [
          table(
            ["KIND!", "ID!", "NAME", "FOUND BY", "GONE", "ACCOUNT?"],
            value.items.map((found) => [
              found.kind,
              found.id,
              found.title,
              found.matched,
              found.gone ? "gone" : NOTHING,
              found.accountId ?? NOTHING,
            ]),
          ),
        ],
      };
    },
  }),

  command("account list", "Accounts", {
    staff: true,
    options: {
      ...RANGE,
      role: oneOf("only those", Role.options),
      email: optional("what their e-mail address begins with", { value: "text" }),
      closed: oneOf("only those that are closed, or that are not", ["true", "false"]),
      sort: oneOf("in which order", ["createdAt", "-createdAt", "email", "-email"]),
    },
    run: async (session, _, { limit, all, cursor, ...query }) => {
      const range = { limit, all, cursor };
      const { items, json, next } = await listed(session, "listAccounts", { query }, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          table(
            ["ID!", "E-MAIL", "NAME", "ROLE", "CLOSED?", "SINCE?"],
            items.map((account) => [
              account.id,
              account.email,
              account.name,
              account.staffRole ?? account.role,
              when(account.closedAt),
              when(account.createdAt),
            ]),
          ),
        ],
      };
    },
  }),

  command("account show", "An account with its money, machines, log-ins and notes", {
    staff: true,
    args: { account: ACCOUNT },
    run: async (session, { account }) => {
      const id = await accountId(session, account);
      const client = await session.client();
      const { value, raw } = await client.call("showAccount", { path: { id } });
      const blocks: Block[] = [whoBlock(value)];
      if (value.vms?.length)
        blocks.push({ kind: "table", columns: VM_COLUMNS, rows: value.vms.map(vmRow) });
      if (value.orders?.length)
        blocks.push({
          kind: "table",
          columns: columnsOf("ORDER!", "HOST NAME", "STATE", "TOTAL", "PLACED?"),
          rows: value.orders.map((order) => [
            order.id,
            order.hostname,
            toned(order.state),
            moneyText(order.total),
            when(order.createdAt),
          ]),
        });
      if (value.money?.invoices.length)
        blocks.push({
          kind: "table",
          columns: INVOICE_COLUMNS,
          rows: value.money.invoices.map(invoiceRow),
        });
      if (value.logIns.length > 0)
        blocks.push(
          table(
            ["LOGGED IN!", "FROM", "SECOND FACTOR", "WITH"],
            value.logIns.map((logIn) => [
              when(logIn.createdAt),
              logIn.address ?? NOTHING,
              yesNo(logIn.secondFactor),
              logIn.userAgent ?? NOTHING,
            ]),
          ),
        );
      for (const note of value.notes)
        blocks.push({
          kind: "lines",
          title: `${when(note.writtenAt)} ${note.authorEmail}`,
          lines: note.text.split("\n"),
        });
      return { json: raw, ids: [id], blocks };
    },
  }),

  command("account note", "Write a note about an account, for the rest of the staff", {
    staff: true,
    args: {
      account: ACCOUNT,
      text: optional("the note; left out, it is read from standard input", { value: "text" }),
    },
    run: async (session, { account, text }) => {
      const id = await accountId(session, account);
      const client = await session.client();
      const { value, raw } = await client.call("addAccountNote", {
        path: { id },
        body: { text: text ?? (await session.world.stdin.text()) },
      });
      return {
        json: raw,
        ids: [value.id],
        blocks: [{ kind: "lines", lines: [`noted at ${when(value.writtenAt)}`] }],
      };
    },
  }),

  command("audit list", "Who changed what", {
    staff: true,
    options: {
      ...RANGE,
      subject: optional("what was changed, by its id", { value: "id" }),
      actor: optional("who changed it: an id, or the name of a job", { value: "actor" }),
      from: optional("from when on, such as 2026-03-01T00:00:00Z", { value: "instant" }),
      to: optional("until when", { value: "instant" }),
    },
    run: async (session, _, { limit, all, cursor, ...query }) => {
      const range = { limit, all, cursor };
      const { items, json, next } = await listed(session, "listAudit", { query }, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          table(
            ["AT!", "WHO", "DID", "TO", "DETAIL"],
            items.map((entry) => [
              when(entry.at),
              `${entry.actor.kind} ${entry.actor.id}`,
              entry.action,
              `${entry.subject.kind} ${entry.subject.id}`,
              Object.entries(entry.detail)
                .map(([name, value]) => `${name}=${String(value)}`)
                .join(" "),
            ]),
          ),
        ],
      };
    },
  }),
];
