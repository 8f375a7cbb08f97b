import type { Refusal, Result } from "#core/result.ts";

/** Who a person or a billing system is to us. One account, one role. */
export const ROLES = ["customer", "staff", "integration"] as const;
export type Role = (typeof ROLES)[number];

/** What an API token may be allowed to do. Of a session, see `scopesOfSession`. */
export const SCOPES = [
  "orders:read",
  "orders:write",
  "vms:read",
  "vms:write",
  "billing:read",
  "billing:write",
  "staff:read",
  "staff:write",
  "repairs:write",
  "accounts:read",
  "accounts:write",
  "accounts:close",
  "accounts:impersonate",
  "contracts:write",
  "audit:read",
  "services:write",
  "tokens:read",
  "tokens:write",
] as const;
export type Scope = (typeof SCOPES)[number];

/** The scopes that a role can have at all; a token asks for a subset. */
export const SCOPES_OF_ROLE = {
  customer: [
    "orders:read",
    "orders:write",
    "vms:read",
    "vms:write",
    "billing:read",
    "billing:write",
    "tokens:read",
    "tokens:write",
  ],
  staff: [
    "orders:read",
    "vms:read",
    "vms:write",
    "billing:read",
    "staff:read",
    "staff:write",
    "repairs:write",
    "accounts:read",
    "accounts:write",
    "accounts:close",
    "accounts:impersonate",
    "contracts:write",
    "audit:read",
    "tokens:read",
    "tokens:write",
  ],
  integration: ["vms:read", "services:write", "tokens:read", "tokens:write"],
} as const satisfies Record<Role, readonly Scope[]>;

/** What a member of staff is to the others; each is a set of scopes (ADR 0046). */
export const STAFF_ROLES = ["support", "billing", "operator", "owner"] as const;
export type StaffRole = (typeof STAFF_ROLES)[number];

export const SCOPES_OF_STAFF = {
  /** Finds what is a customer's, and mends it: no hosts, and nothing of what is sold. */
  support: [
    "orders:read",
    "vms:read",
    "vms:write",
    "billing:read",
    "staff:read",
    "repairs:write",
    "accounts:read",
    "accounts:write",
    "accounts:close",
    "accounts:impersonate",
    "contracts:write",
    "audit:read",
    "tokens:read",
    "tokens:write",
  ],
  /** The money of customers; no machine of theirs, and no host. */
  billing: [
    "orders:read",
    "vms:read",
    "billing:read",
    "accounts:read",
    "accounts:write",
    "accounts:close",
    "contracts:write",
    "audit:read",
    "tokens:read",
    "tokens:write",
  ],
  /** Hosts, what is on them and what is sold; no customer's money, and nothing of who they are. */
  operator: [
    "vms:read",
    "vms:write",
    "staff:read",
    "staff:write",
    "repairs:write",
    "audit:read",
    "tokens:read",
    "tokens:write",
  ],
  owner: SCOPES_OF_ROLE.staff,
} as const satisfies Record<StaffRole, readonly (typeof SCOPES_OF_ROLE.staff)[number][]>;

/** What somebody may do at most: all that their role may have, or of staff, what their staff role may. */
export const scopesOf = ({ role, staffRole }: Whose): readonly Scope[] => {
  if (role !== "staff") return SCOPES_OF_ROLE[role];
  return staffRole ? SCOPES_OF_STAFF[staffRole] : [];
};
type Whose = Readonly<{ role: Role; staffRole?: StaffRole | null }>;

/** True for what changes something: all that is not to read. */
export const isWriting = (scope: Scope): boolean => !scope.endsWith(":read");

/**
 * What a log-in may do: all that its account may, but that staff change things only in one with a second factor. A stolen
 * password of staff's alone opens no host.
 */
export const scopesOfSession = (whose: Whose, secondFactor: boolean): readonly Scope[] =>
  whose.role === "staff" && !secondFactor
    ? scopesOf(whose).filter((scope) => !isWriting(scope))
    : scopesOf(whose);

/** How long staff may act as a customer at most; the database holds it too. */
export const IMPERSONATION_MINUTES = 60;

/** What staff who act as a customer may not do as them: buy, change what is paid with, and whatever would outlive the hour. */
const NOT_FOR_IMPERSONATORS: ReadonlySet<Scope> = new Set<Scope>([
  "orders:write",
  "billing:write",
  "tokens:read",
  "tokens:write",
]);
export const scopesOfImpersonator = (whose: Whose): readonly Scope[] =>
  scopesOf(whose).filter((scope) => !NOT_FOR_IMPERSONATORS.has(scope));

/** What an account may be called, and how it may be locked. RFC 5321 §4.5.3.1.3, less the angle brackets. */
export const MAX_EMAIL_LENGTH = 254;
export const MAX_NAME_LENGTH = 200;
export const MAX_NOTE_LENGTH = 4000;
export const MIN_PASSWORD_LENGTH = 10;
export const MAX_PASSWORD_LENGTH = 128;

/** An authenticated person or billing system. `scopes` is already cut down to what the role may have. */
export type AccountPrincipal = Readonly<{
  accountId: string;
  email: string;
  name: string;
  role: Role;
  /** Of staff. */
  staffRole?: StaffRole;
  scopes: readonly Scope[];
  via: "session" | "token";
  /** Who of staff acts as this account; absent: nobody does. */
  impersonator?: string;
  /** The token that it came by; absent for a session. What it makes lasts no longer than it. */
  token?: Readonly<{ id: string; makers: readonly string[]; expiresAt: Date | null }>;
}>;

export type TokenView = Readonly<{
  id: string;
  name: string;
  /** The first characters, by which a person recognises a token. */
  start: string;
  scopes: readonly Scope[];
  createdAt: Date;
  expiresAt: Date | null;
  lastUsedAt: Date | null;
}>;

export type NewSession = Readonly<{
  token: string;
  /** As a `Cookie` header has it. */
  cookie: string;
  createdAt: Date;
  expiresAt: Date;
}>;

/** Who may speak to us: checks sessions and API tokens, and keeps the tokens. */
export type Accounts = {
  /**
   * Who sends these headers: a session cookie, or `Authorization: Bearer <API token>`.
   * `undefined` when there are no credentials; a refusal when there are, and they are not good. Whoever sends many tokens
   * that are not is answered no more for a while, from that address.
   */
  authenticate: (
    headers: Headers,
    callerAddress?: string,
  ) => Promise<Result<AccountPrincipal | undefined, Refusal<"token_invalid" | "rate_limited">>>;
  /**
   * Makes a token; the secret is in the answer this once, and stored only hashed. One that is made by a token has no
   * more scopes than its maker, ends no later (its expiry is cut to the maker's), and ends with its maker.
   */
  createToken: (
    owner: AccountPrincipal,
    input: { name: string; scopes: readonly Scope[]; expiresInSeconds: number | null },
  ) => Promise<
    Result<
      { token: TokenView; secret: string },
      { code: "scope_not_allowed" | "token_limit"; detail: string }
    >
  >;
  listTokens: (accountId: string) => Promise<readonly TokenView[]>;
  /** Ends a token, and all that it made. False when the account has no such token. */
  revokeToken: (accountId: string, tokenId: string) => Promise<boolean>;
  /** What a session of so many minutes is opened by, for whoever writes it down: its secret, and the cookie that carries that. */
  newSession: (minutes: number) => Promise<NewSession>;
  /** Ends all tokens of the account. */
  revokeAllTokens: (accountId: string) => Promise<void>;
};

/** Sign-up, log-in, sessions and second factors; implemented with better-auth in `adapters/log-ins.ts`. */
export type LogIns = {
  /** Serves the routes under `/v1/auth/*`. */
  handle: (request: Request) => Promise<Response>;
  /**
   * Looks at what the body of `request` confirms its session's wish by: the `password`, and where the account has a second factor a
   * `code` of it, which is used up by this. Answers the refusal; undefined where it is good.
   */
  confirm: (request: Request) => Promise<Response | undefined>;
  /** Sets an account's password, by no word of its old one, be it the first; and ends all its sessions. */
  setPassword: (accountId: string, password: string) => Promise<void>;
  /**
   * Makes an account with a role, for seeds and for staff; sign-up makes customers only. Who makes it knows whose address it
   * is: it counts as proven.
   */
  createAccount: (input: {
    email: string;
    name: string;
    password: string;
    role: Role;
    /** Of staff; an owner when it is left out. */
    staffRole?: StaffRole;
  }) => Promise<Result<{ accountId: string }, { code: "email_taken"; detail: string }>>;
};

/** An account as it is now, of those that are not closed. */
export type Account = Pick<AccountPrincipal, "accountId" | "email" | "name" | "role"> &
  Readonly<{ staffRole: StaffRole | null; bannedAt: Date | null }>;

/** Who asks for something that is an account's: by themselves, or as staff. */
export type Asker = Pick<AccountPrincipal, "accountId" | "role" | "impersonator">;

/** Whom the audit log names for what `who` does. Of staff who act as a customer: them, and for whom. */
export const actorOf = ({ accountId, role, impersonator }: Asker) =>
  impersonator === undefined
    ? { kind: role === "staff" ? ("staff" as const) : ("account" as const), id: accountId }
    : { kind: "staff" as const, id: impersonator, onBehalfOf: accountId };

/** True when `who` may see and change what this account owns: the account itself, or staff. */
export const mayTouch = (who: Asker, ownerId: string): boolean =>
  who.role === "staff" || who.accountId === ownerId;
