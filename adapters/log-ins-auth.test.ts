import { DrizzleQueryError } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { pgTable, text } from "drizzle-orm/pg-core";
import { describe, expect, it, test } from "vitest";
import { type AuthOptions, createAuth } from "./log-ins-auth.ts";

const table = pgTable("any", { id: text() });

const never = () => Promise.reject(new Error("nobody asks for this"));

/** better-auth as it was made, and what was logged by it; nothing here asks the database. */
function made(over: Partial<AuthOptions> = {}) {
  const lines: unknown[] = [];
  const auth = createAuth(
    {
      db: drizzle.mock(),
      tables: {
        accounts: table,
        sessions: table,
        credentials: table,
        verifications: table,
        twoFactors: table,
      },
      ids: { newId: () => "an-id" },
      secret: "for tests only, and long enough for a secret",
      baseUrl: "https://api.example.com",
      trustedOrigins: ["https://shop.example.com"],
      log: {
        info: (event, fields) => lines.push(["info", event, fields]),
        error: (event, fields) => lines.push(["error", event, fields]),
      },
      production: true,
      spendCode: async () => "first",
      ...over,
    },
    {
      hash: async (password) => `hash of ${password}`,
      verify: async () => false,
      hashInTurn: never,
    },
  );
  return { options: auth.options, lines };
}

describe("better-auth is told", () => {
  test("where it stands, whose pages may call it, and to be silent towards the network", () => {
    const { options } = made();
    expect(options).toMatchObject({
      appName: "Berth",
      baseURL: "https://api.example.com",
      basePath: "/v1/auth",
      secret: "for tests only, and long enough for a secret",
      trustedOrigins: ["https://shop.example.com"],
      telemetry: { enabled: false },
      logger: { level: "warn" },
      onAPIError: { throw: true },
    });
    expect(options.plugins.map(({ id, options: own }) => [id, own])).toEqual([
      ["two-factor", { issuer: "Berth" }],
    ]);
    expect(options.advanced.database.generateId()).toBe("an-id");
  });

  test("a session's life, with no copy of it in a cookie, and what a password may be", () => {
    expect(made().options).toMatchObject({
      session: {
        expiresIn: 604_800,
        updateAge: 86_400,
        cookieCache: { enabled: false },
        additionalFields: { secondFactor: { type: "boolean", required: false, input: false } },
      },
      emailAndPassword: { enabled: true, minPasswordLength: 10, maxPasswordLength: 128 },
      verification: { storeIdentifier: "hashed" },
    });
  });

  test("which fields of an account are not a caller's to set", () => {
    expect(made().options.user.additionalFields).toEqual({
      role: {
        type: ["customer", "staff", "integration"],
        required: true,
        defaultValue: "customer",
        input: false,
      },
      staffRole: {
        type: ["support", "billing", "operator", "owner"],
        required: false,
        input: false,
        returned: false,
      },
      bannedAt: { type: "date", required: false, input: false },
    });
  });

  test.each([true, false])(
    "to count nothing itself, and its cookies (production: %s)",
    (production) => {
      expect(made({ production }).options).toMatchObject({
        rateLimit: { enabled: false },
        advanced: {
          cookiePrefix: production ? "__Host-berth" : "berth",
          useSecureCookies: false,
          defaultCookieAttributes: { secure: production },
          disableOriginCheck: false,
          disableCSRFCheck: false,
        },
      });
    },
  );

  test.each([
    [{}, "x-forwarded-for"],
    [{ clientIpHeader: "cloudfront-viewer-address" }, "cloudfront-viewer-address"],
  ])("which header names the caller (%j)", (over, header) => {
    expect(made(over).options.advanced.ipAddress).toEqual({
      ipAddressHeaders: [header],
      ipv6Subnet: 56,
    });
  });
});

describe("before an account is made", () => {
  const judged = (name: string, email: string) => {
    const { before } = made().options.databaseHooks.user.create;
    return Reflect.apply(before, undefined, [{ name, email }]);
  };

  it.each([
    ["a name of one character", "A", "a@example.com"],
    ["a name of 200", "n".repeat(200), "a@example.com"],
    ["an address of 254", "Ada", `${"a".repeat(242)}@example.com`],
  ])("takes %s", async (_what, name, email) => {
    expect(await judged(name, email)).toBeUndefined();
  });

  it.each([
    ["no name", "", "a@example.com", "INVALID_NAME"],
    ["a name of blanks", " \t\n", "a@example.com", "INVALID_NAME"],
    ["a name of 201", "n".repeat(201), "a@example.com", "INVALID_NAME"],
    ["NUL in a name", "A\0da", "a@example.com", "INVALID_NAME"],
    ["an address of 255", "Ada", `${"a".repeat(243)}@example.com`, "INVALID_EMAIL"],
  ])("refuses %s", async (_what, name, email, code) => {
    await expect(judged(name, email)).rejects.toMatchObject({
      status: "BAD_REQUEST",
      body: { code },
    });
  });
});

describe("before a session is made", () => {
  const begin = (
    account: unknown,
    context: { path?: string; session?: unknown } | null = {},
  ): unknown => {
    const { before } = made().options.databaseHooks.session.create;
    const internalAdapter = { findUserById: async () => account };
    const found = context && {
      path: context.path,
      context: { internalAdapter, session: context.session && { session: context.session } },
    };
    return Reflect.apply(before, undefined, [{ userId: "a" }, found]);
  };
  const session = (secondFactor: boolean) => ({ data: { userId: "a", secondFactor } });

  it("refuses a banned account", async () => {
    await expect(begin({ id: "a", bannedAt: new Date(0) })).rejects.toMatchObject({
      status: "FORBIDDEN",
      body: { code: "ACCOUNT_BANNED" },
    });
  });

  it.each([[{ id: "a", bannedAt: null }], [{ id: "a" }], [null], [undefined], ["banned"]])(
    "lets %j in",
    async (account) => {
      expect(await begin(account)).toEqual(session(false));
    },
  );

  it("lets in where the library tells of no context", async () => {
    expect(await begin({ bannedAt: new Date(0) }, null)).toEqual(session(false));
  });

  /* 4b B5: staff write only in a session with a second factor. */
  it.each([
    ["by its code", { twoFactorEnabled: true }, { path: "/two-factor/verify-totp" }, true],
    ["by a backup code", {}, { path: "/two-factor/verify-backup-code" }, true],
    ["by a device that is trusted", { twoFactorEnabled: true }, { path: "/sign-in/email" }, true],
    [
      "by no code where none is set up",
      { twoFactorEnabled: false },
      { path: "/sign-in/email" },
      false,
    ],
    ["as the session was", {}, { path: "/change-password", session: { secondFactor: true } }, true],
    [
      "not as the account is now",
      { twoFactorEnabled: true },
      { path: "/change-password", session: { secondFactor: false } },
      false,
    ],
    [
      "not when it is turned off",
      { twoFactorEnabled: true },
      { path: "/two-factor/disable", session: { secondFactor: true } },
      false,
    ],
  ])("is with a second factor %s", async (_what, account, context, expected) => {
    expect(await begin(account, context)).toEqual(session(expected));
  });
});

describe("the library's log lines", () => {
  const logged = (message: string, ...args: unknown[]) => {
    const { options, lines } = made();
    options.logger.log("warn", message, ...args);
    return lines;
  };

  it("are a refusal without an error, and cut at 200 characters", () => {
    expect(logged(`${"m".repeat(200)}rest`, { password: "secret" })).toEqual([
      ["info", "auth_refused", { message: "m".repeat(200) }],
    ]);
  });

  it("name the first error and its code, never its message", () => {
    const error = Object.assign(new TypeError("holds a hash"), { code: "E1" });
    expect(logged("it failed", "secret", error, new RangeError("another"))).toEqual([
      ["error", "auth_failed", { message: "it failed", error_name: "TypeError", error_code: "E1" }],
    ]);
  });

  it("name what the database said of a query, not the query", () => {
    const cause = Object.assign(new SyntaxError("near secret"), { code: "23505" });
    const error = new DrizzleQueryError("insert", ["secret"], cause);
    expect(logged("it failed", error)).toEqual([
      [
        "error",
        "auth_failed",
        { message: "it failed", error_name: "SyntaxError", error_code: "23505" },
      ],
    ]);
    expect(logged("it failed", new DrizzleQueryError("insert", ["secret"]))).toEqual([
      [
        "error",
        "auth_failed",
        { message: "it failed", error_name: "Error", error_code: undefined },
      ],
    ]);
  });
});
