import { createRoute, type OpenAPIHono, type z } from "@hono/zod-openapi";
import type { LogIns } from "#core/accounts/accounts.ts";
import {
  BackupCodes,
  ChangePassword,
  ConfirmByPassword,
  CurrentSession,
  Done,
  HalfLoggedIn,
  LoggedIn,
  LoggedOut,
  NoFields,
  RevokeSession,
  SecondFactor,
  Sessions,
  SignIn,
  SignUp,
  TotpUri,
  VerifyBackupCode,
  VerifyTotp,
} from "#core/contracts/auth.ts";
import type { ProblemCode } from "#core/contracts/problem.ts";
import type { Deps } from "#commands/deps.ts";
import { forAnybody, forSessions } from "#functions/access.ts";
import { problems } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";

type AuthOperation = Readonly<{
  /** Below `/v1/auth`. */
  path: string;
  operationId: string;
  summary: string;
  description?: string;
  /** Whose it is: anybody's, or only of who is logged in with a browser. */
  who: "anybody" | "session";
  /** A POST takes a body, and a GET none. */
  body?: z.ZodType;
  answer: z.ZodType;
  codes?: readonly ProblemCode[];
}>;

const OPERATIONS: readonly AuthOperation[] = [
  {
    path: "/sign-up/email",
    operationId: "signUp",
    summary: "Make an account, and log in",
    description: "Accounts made here are customers.",
    who: "anybody",
    body: SignUp,
    answer: LoggedIn,
    codes: ["forbidden", "email_taken", "busy"],
  },
  {
    path: "/sign-in/email",
    operationId: "signIn",
    summary: "Log in with a password",
    who: "anybody",
    body: SignIn,
    answer: LoggedIn.or(HalfLoggedIn),
    codes: ["unauthenticated", "forbidden"],
  },
  {
    path: "/sign-out",
    operationId: "signOut",
    summary: "Log out",
    who: "anybody",
    body: NoFields,
    answer: LoggedOut,
    codes: ["forbidden"],
  },
  {
    path: "/get-session",
    operationId: "showSession",
    summary: "Who is logged in here; prolongs the session",
    who: "anybody",
    answer: CurrentSession,
  },
  {
    path: "/list-sessions",
    operationId: "listSessions",
    summary: "Your sessions on all devices",
    who: "session",
    answer: Sessions,
  },
  {
    path: "/revoke-session",
    operationId: "revokeSession",
    summary: "End one of your sessions",
    who: "session",
    body: RevokeSession,
    answer: Done,
  },
  {
    path: "/revoke-sessions",
    operationId: "revokeSessions",
    summary: "End all your sessions, this one too",
    who: "session",
    body: NoFields,
    answer: Done,
  },
  {
    path: "/revoke-other-sessions",
    operationId: "revokeOtherSessions",
    summary: "End all your sessions but this one",
    who: "session",
    body: NoFields,
    answer: Done,
  },
  {
    path: "/change-password",
    operationId: "changePassword",
    summary: "Change your password",
    who: "session",
    body: ChangePassword,
    answer: LoggedIn,
  },
  {
    path: "/two-factor/enable",
    operationId: "enableTwoFactor",
    summary: "Begin to use an authenticator app",
    description: "It is asked for from the first code on that `verify-totp` accepts.",
    who: "session",
    body: ConfirmByPassword,
    answer: SecondFactor,
  },
  {
    path: "/two-factor/disable",
    operationId: "disableTwoFactor",
    summary: "Ask for no second factor any more",
    who: "session",
    body: ConfirmByPassword,
    answer: Done,
  },
  {
    path: "/two-factor/get-totp-uri",
    operationId: "showTotpUri",
    summary: "The authenticator app's set-up again",
    who: "session",
    body: ConfirmByPassword,
    answer: TotpUri,
  },
  {
    path: "/two-factor/generate-backup-codes",
    operationId: "makeBackupCodes",
    summary: "New backup codes; the old ones end",
    who: "session",
    body: ConfirmByPassword,
    answer: BackupCodes,
  },
  {
    path: "/two-factor/verify-totp",
    operationId: "verifyTotp",
    summary: "Finish a log-in, or the set-up, with a code of the app",
    description: "Who asks is known by the cookie of `sign-in`, or by the session.",
    who: "anybody",
    body: VerifyTotp,
    answer: LoggedIn,
    codes: ["unauthenticated", "forbidden"],
  },
  {
    path: "/two-factor/verify-backup-code",
    operationId: "verifyBackupCode",
    summary: "Finish a log-in with a backup code",
    who: "anybody",
    body: VerifyBackupCode,
    answer: LoggedIn,
    codes: ["unauthenticated", "forbidden"],
  },
];

type Answers = Record<
  number,
  { description: string; content?: Record<string, { schema: z.ZodType }> }
>;

const routeOf = (
  deps: Pick<Deps, "accounts">,
  { path, who, body, answer, codes = [], ...about }: AuthOperation,
) => {
  const answers: Answers = {
    200: { description: "Done", content: { "application/json": { schema: answer } } },
    ...problems(...codes, "rate_limited"),
  };
  return createRoute({
    ...(who === "session" ? forSessions(deps) : forAnybody),
    ...about,
    tags: ["Log-in"],
    method: body === undefined ? "get" : "post",
    path: `/v1/auth${path}`,
    ...(body === undefined
      ? {}
      : {
          // `{}` may be left out.
          request: {
            body: {
              required: body !== NoFields,
              content: { "application/json": { schema: body } },
            },
          },
        }),
    responses: answers,
  });
};

/** Puts the routes into the document of who does not serve them. */
export function describeLogIns(
  deps: Pick<Deps, "accounts">,
  registry: OpenAPIHono["openAPIRegistry"],
): void {
  for (const operation of OPERATIONS) {
    const { middleware: _, ...described } = { middleware: [], ...routeOf(deps, operation) };
    registry.registerPath(described);
  }
}

/** Sign-up, log-in, sessions and second factors. `deps.logIns` answers them; here they are described and checked. */
export const logInRoutes = (deps: Pick<Deps, "accounts"> & { logIns: LogIns }) => {
  const router = newRouter<{ Variables: { requestId: string } }>();
  for (const operation of OPERATIONS)
    router.openapi(routeOf(deps, operation), async (c) => {
      const { url, method } = c.req.raw;
      const headers = new Headers(c.req.raw.headers);
      headers.set("x-request-id", c.get("requestId"));
      // The body has been read to be checked: what goes on is what was accepted.
      const body = operation.body === undefined ? undefined : await c.req.text();
      return deps.logIns.handle(new Request(url, { method, headers, ...(body && { body }) }));
    });
  return router;
};
