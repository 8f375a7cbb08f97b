import { describe, expect, test } from "vitest";
import { withField } from "#test/harness/with-field.ts";
import {
  ChangePassword,
  ConfirmByPassword,
  CurrentSession,
  NoFields,
  RevokeSession,
  SignIn,
  SignUp,
  VerifyBackupCode,
  VerifyTotp,
} from "./auth.ts";

const EMAIL = "ada@example.com";
const PASSWORD = "correct horse battery";
const REQUESTS = [
  {
    name: "to sign up",
    shape: SignUp,
    request: { email: EMAIL, name: "Ada", password: PASSWORD, rememberMe: false },
    texts: { email: 1024, name: 1024, password: 1024 },
    optional: ["rememberMe"],
  },
  {
    name: "to sign in",
    shape: SignIn,
    request: { email: EMAIL, password: PASSWORD, rememberMe: true },
    texts: { email: 1024, password: 1024 },
    optional: ["rememberMe"],
  },
  {
    name: "to end a session",
    shape: RevokeSession,
    request: { token: "a-session" },
    texts: { token: 256 },
    optional: [],
  },
  {
    name: "to change a password",
    shape: ChangePassword,
    request: { currentPassword: PASSWORD, newPassword: "another horse", revokeTokens: true },
    texts: { currentPassword: 1024, newPassword: 1024 },
    optional: ["revokeTokens"],
  },
  {
    name: "with a password",
    shape: ConfirmByPassword,
    request: { password: PASSWORD },
    texts: { password: 1024 },
    optional: [],
  },
  {
    name: "with a second factor",
    shape: VerifyTotp,
    request: { code: "123456", trustDevice: true },
    texts: { code: 64 },
    optional: ["trustDevice"],
  },
  {
    name: "with a backup code",
    shape: VerifyBackupCode,
    request: { code: "abcd-efgh", trustDevice: false },
    texts: { code: 64 },
    optional: ["trustDevice"],
  },
  { name: "without fields", shape: NoFields, request: {}, texts: {}, optional: [] },
];

describe.each(REQUESTS)("a request $name", ({ shape, request, texts, optional }) => {
  test("is taken as it is, and with no field that we do not know", () => {
    expect(shape.parse(request)).toEqual(request);
    expect(shape.safeParse({ ...request, role: "staff" }).success).toBe(false);
  });

  test("may leave out only what is optional", () => {
    for (const field of Object.keys(request)) {
      const { success } = shape.safeParse(withField(request, field, undefined));
      expect([field, success]).toEqual([field, optional.some((name) => name === field)]);
    }
  });

  test("has texts of bounded length, which a database can keep", () => {
    for (const [field, most] of Object.entries<number>(texts)) {
      const longest = withField(request, field, "x".repeat(most));
      expect(shape.parse(longest)).toEqual(longest);
      const longer = withField(request, field, "x".repeat(most + 1));
      expect(shape.safeParse(longer).success).toBe(false);
      expect(shape.safeParse(withField(request, field, "a\0b")).error?.issues).toMatchObject([
        { path: [field], message: "may not hold NUL" },
      ]);
    }
  });
});

test("nobody is logged in by null, and by nothing else", () => {
  expect(CurrentSession.parse(null)).toBeNull();
  expect(CurrentSession.safeParse(undefined).success).toBe(false);
  expect(CurrentSession.safeParse({}).success).toBe(false);
});
