import {
  SCOPES_OF_ROLE,
  type AccountPrincipal,
  type Accounts,
  type Role,
} from "#core/accounts/accounts.ts";
import { ok, refuse } from "#core/result.ts";

/** Who takes part. Their ids are fixed, so the database's fixture can hold them. */
export const PEOPLE = [
  { role: "customer", name: "ada", accountId: "00000000-0000-7000-8000-00000000000a" },
  { role: "customer", name: "bob", accountId: "00000000-0000-7000-8000-00000000000b" },
  { role: "staff", name: "grace", accountId: "00000000-0000-7000-8000-00000000000c" },
] as const satisfies readonly { role: Role; name: string; accountId: string }[];
export type PersonName = (typeof PEOPLE)[number]["name"];

export const tokenOf = (name: PersonName): string => `token-of-${name}`;

const PRINCIPALS = new Map<string, AccountPrincipal>(
  PEOPLE.map((person) => [
    tokenOf(person.name),
    {
      accountId: person.accountId,
      email: `${person.name}@example.test`,
      name: person.name,
      role: person.role,
      scopes: SCOPES_OF_ROLE[person.role],
      via: "token",
    },
  ]),
);

const unused = () =>
  Promise.reject(new Error("the simulator's people neither log in nor make tokens"));

/** Accounts as a table of tokens: who somebody is, is not what the simulator is about. */
export const simAccounts: Accounts = {
  authenticate: async (headers) => {
    const token = /^Bearer (.+)$/.exec(headers.get("authorization") ?? "")?.[1];
    if (token === undefined) return ok(undefined);
    const who = PRINCIPALS.get(token);
    return who ? ok(who) : refuse("token_invalid", "no such token");
  },
  createToken: unused,
  newSession: unused,
  listTokens: unused,
  revokeToken: unused,
  revokeAllTokens: unused,
};
