import { createRoute, type OpenAPIHono, type z } from "@hono/zod-openapi";
import type { AccountPrincipal, LogIns } from "#core/accounts/accounts.ts";
import type { LimitName } from "#core/accounts/attempts.ts";
import {
  BackupCodes,
  ChangeEmail,
  ChangePassword,
  ConfirmByPassword,
  ConfirmByCode,
  ConfirmNewEmail,
  CurrentSession,
  Done,
  HalfLoggedIn,
  LoggedIn,
  LoggedOut,
  NoFields,
  RequestPasswordReset,
  ResetPassword,
  RevokeSession,
  SecondFactor,
  Sessions,
  SignIn,
  SignUp,
  VerifyBackupCode,
  VerifyEmail,
  VerifyTotp,
} from "#core/contracts/auth.ts";
import type { ProblemCode } from "#core/contracts/problem.ts";
import { localeOf } from "#core/messages/locale.ts";
import type { Deps } from "#commands/deps.ts";
import { setLocale } from "#commands/accounts/set-locale.ts";
import { askForNewAddress } from "#commands/accounts/ask-for-new-address.ts";
import { askForLink } from "#commands/accounts/ask-for-link.ts";
import { changeAddress } from "#commands/accounts/change-address.ts";
import { dropNewAddresses } from "#commands/accounts/drop-new-addresses.ts";
import { createSlowDown, rememberNetwork } from "#commands/accounts/slow-down.ts";
import { proveEmail, resetPassword } from "#commands/accounts/use-link.ts";
import {
  forAnybody,
  forSessions,
  NOT_AS_SOMEBODY_ELSE,
  type AccountEnv,
  type GuardDeps,
} from "#functions/access.ts";
import { callerAddressOf } from "#functions/caller-address.ts";
import { ProblemError, problems, unwrap } from "#functions/problems.ts";
import { newRouter } from "#functions/router.ts";

/** What log-ins stand on. */
export type LogInDeps = GuardDeps &
  Pick<Deps, "db" | "clock" | "ids"> &
  Readonly<{ logIns: LogIns }>;
/** What is asked: a body as it was accepted, and by whom where the operation is for who is logged in. */
type Asked = Readonly<{
  body: unknown;
  who: AccountPrincipal | undefined;
  callerAddress: string | undefined;
  /** What its browser says of itself. */
  agent: string | undefined;
  languages: string | undefined;
}>;

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
  /** How often one address may call it; `log_in_route` when left out. */
  limit?: LimitName;
  /** Whoever has a session is known by it here too: not for staff who act as somebody else. */
  bySession?: true;
  /** Something is guessed at here: a password for an account, or what confirms the wish of who is logged in. */
  guesses?: "password" | "confirmation";
  /** The password that its body holds is proved before, with a code where there is a second factor. */
  confirmed?: true;
  /** Serves it in better-auth's place; the answer is `Done`. */
  serve?: (deps: LogInDeps, asked: Asked) => Promise<void>;
  /** What is done after better-auth has served it, if that went well. */
  afterwards?: (deps: LogInDeps, asked: Asked) => Promise<void>;
}>;

const theirs = (who: AccountPrincipal | undefined): AccountPrincipal => {
  if (who === undefined) throw new Error("the guard let nobody in");
  return who;
};

const OPERATIONS: readonly AuthOperation[] = [
  {
    path: "/sign-up/email",
    operationId: "signUp",
    summary: "Make an account, and log in",
    description:
      "Accounts made here are customers, and are written to in the language of `Accept-Language` (English or Russian). A link is mailed to the address; it is to be opened before the first order.",
    who: "anybody",
    body: SignUp,
    answer: LoggedIn,
    codes: ["forbidden", "email_taken", "busy"],
    limit: "sign_up",
    afterwards: async (deps, { body, languages, ...from }) => {
      const { email } = SignUp.parse(body);
      await setLocale(deps, email, localeOf(languages));
      await rememberNetwork(deps, email, from);
      await askForLink(deps, "prove_email", email);
    },
  },
  {
    path: "/sign-in/email",
    operationId: "signIn",
    summary: "Log in with a password",
    who: "anybody",
    body: SignIn,
    answer: LoggedIn.or(HalfLoggedIn),
    codes: ["unauthenticated", "forbidden", "busy"],
    limit: "sign_in",
    guesses: "password",
    afterwards: (deps, { body, ...from }) => rememberNetwork(deps, SignIn.parse(body).email, from),
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
    bySession: true,
    answer: CurrentSession,
    codes: ["forbidden"],
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
    summary: "Change your password; your other sessions end",
    description: "So does a change of e-mail address that was asked for and is not made.",
    who: "session",
    body: ChangePassword,
    answer: LoggedIn,
    codes: ["busy"],
    guesses: "confirmation",
    afterwards: async (deps, { body, who }) => {
      const { accountId } = theirs(who);
      await dropNewAddresses(deps, accountId);
      if (ChangePassword.parse(body).revokeTokens) await deps.accounts.revokeAllTokens(accountId);
    },
  },
  {
    path: "/send-verification-email",
    operationId: "sendVerificationEmail",
    summary: "Mail a link that proves your address again",
    description: "The last one mailed is the one that works.",
    who: "session",
    body: NoFields,
    answer: Done,
    limit: "link",
    serve: (deps, { who }) => askForLink(deps, "prove_email", theirs(who).email),
  },
  {
    path: "/verify-email",
    operationId: "verifyEmail",
    summary: "Prove your address by the link that was mailed to it",
    who: "anybody",
    body: VerifyEmail,
    answer: Done,
    codes: ["link_invalid"],
    limit: "link",
    serve: async (deps, { body }) => unwrap(await proveEmail(deps, VerifyEmail.parse(body).token)),
  },
  {
    path: "/request-password-reset",
    operationId: "requestPasswordReset",
    summary: "Mail a link by which a forgotten password is replaced",
    description:
      "The answer is the same for every address. A link is mailed where there is an account, and not too often.",
    who: "anybody",
    body: RequestPasswordReset,
    answer: Done,
    limit: "link",
    serve: (deps, { body }) =>
      askForLink(deps, "reset_password", RequestPasswordReset.parse(body).email),
  },
  {
    path: "/reset-password",
    operationId: "resetPassword",
    summary: "Choose a new password by the link that was mailed; all your sessions end",
    who: "anybody",
    body: ResetPassword,
    answer: Done,
    codes: ["link_invalid", "password_unfit"],
    limit: "link",
    serve: async (deps, { body, callerAddress, agent }) => {
      const { token: secret, newPassword, revokeTokens = false } = ResetPassword.parse(body);
      const chosen = { secret, newPassword, revokeTokens, callerAddress, agent };
      unwrap(await resetPassword(deps, chosen));
    },
  },
  {
    path: "/change-email",
    operationId: "changeEmail",
    summary: "Ask for another e-mail address",
    description:
      "A link is mailed to the new address, and a notice to the one of now; nothing changes until the link is used. The answer is the same for every address: no link is mailed to one that an account has. Not for staff.",
    who: "session",
    body: ChangeEmail,
    answer: Done,
    codes: ["invalid_request", "busy"],
    limit: "link",
    guesses: "confirmation",
    confirmed: true,
    serve: async (deps, { body, who }) => {
      const { newEmail } = ChangeEmail.parse(body);
      unwrap(await askForNewAddress(deps, theirs(who), newEmail));
    },
  },
  {
    path: "/confirm-new-email",
    operationId: "confirmNewEmail",
    summary: "Change the address by the link that was mailed to the new one; all your sessions end",
    who: "anybody",
    body: ConfirmNewEmail,
    answer: Done,
    codes: ["link_invalid", "email_taken"],
    limit: "link",
    serve: async (deps, { body }) =>
      unwrap(await changeAddress(deps, ConfirmNewEmail.parse(body).token)),
  },
  {
    path: "/two-factor/enable",
    operationId: "enableTwoFactor",
    summary: "Begin to use an authenticator app",
    description: "It is asked for from the first code on that `verify-totp` accepts.",
    who: "session",
    body: ConfirmByPassword,
    answer: SecondFactor,
    codes: ["busy"],
    limit: "second_factor",
    guesses: "confirmation",
  },
  {
    path: "/two-factor/disable",
    operationId: "disableTwoFactor",
    summary: "Ask for no second factor any more",
    who: "session",
    body: ConfirmByCode,
    answer: Done,
    codes: ["busy"],
    limit: "second_factor",
    guesses: "confirmation",
  },
  {
    path: "/two-factor/generate-backup-codes",
    operationId: "makeBackupCodes",
    summary: "New backup codes; the old ones end",
    who: "session",
    body: ConfirmByCode,
    answer: BackupCodes,
    codes: ["busy"],
    limit: "second_factor",
    guesses: "confirmation",
  },
  {
    path: "/two-factor/verify-totp",
    operationId: "verifyTotp",
    summary: "Finish a log-in, or the set-up, with a code of the app",
    description: "Who asks is known by the cookie of `sign-in`, or by the session.",
    who: "anybody",
    bySession: true,
    body: VerifyTotp,
    answer: LoggedIn,
    limit: "second_factor",
    codes: ["unauthenticated", "forbidden"],
  },
  {
    path: "/two-factor/verify-backup-code",
    operationId: "verifyBackupCode",
    summary: "Finish a log-in with a backup code",
    who: "anybody",
    bySession: true,
    body: VerifyBackupCode,
    answer: LoggedIn,
    limit: "second_factor",
    codes: ["unauthenticated", "forbidden"],
  },
];

/** better-auth would lengthen the session, and take what outlives it: those who act as somebody else do not come to it. */
async function refuseImpersonator(deps: GuardDeps, headers: Headers): Promise<void> {
  const found = await deps.accounts.authenticate(headers, callerAddressOf(headers));
  if (found.ok && found.value?.impersonator !== undefined)
    throw new ProblemError("forbidden", NOT_AS_SOMEBODY_ELSE);
}

type Answers = Record<
  number,
  { description: string; content?: Record<string, { schema: z.ZodType }> }
>;

const routeOf = (
  deps: GuardDeps,
  { path, who, body, answer, codes = [], operationId, summary, description }: AuthOperation,
) => {
  const answers: Answers = {
    200: { description: "Done", content: { "application/json": { schema: answer } } },
    ...problems(...codes, "rate_limited"),
  };
  return createRoute({
    ...(who === "session" ? forSessions(deps) : forAnybody),
    operationId,
    summary,
    ...(description === undefined ? {} : { description }),
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
export function describeLogIns(deps: GuardDeps, registry: OpenAPIHono["openAPIRegistry"]): void {
  for (const operation of OPERATIONS) {
    const { middleware: _, ...described } = { middleware: [], ...routeOf(deps, operation) };
    registry.registerPath(described);
  }
}

/** Sign-up, log-in, sessions and second factors. `deps.logIns` answers them; here they are described and checked. */
export const logInRoutes = (deps: LogInDeps) => {
  const slowDown = createSlowDown(deps);
  const refuseTooMany = async (operation: AuthOperation, asked: Asked): Promise<void> => {
    const { callerAddress } = asked;
    unwrap(await slowDown.takeOfCaller(operation.limit ?? "log_in_route", callerAddress));
    if (operation.guesses === "password")
      unwrap(await slowDown.takeLogIn(SignIn.parse(asked.body).email, callerAddress));
    if (operation.guesses === "confirmation")
      unwrap(await slowDown.take("confirmation", theirs(asked.who).accountId));
  };
  const router = newRouter<{
    Variables: { requestId: string } & Partial<AccountEnv["Variables"]>;
  }>();
  for (const operation of OPERATIONS)
    router.openapi(routeOf(deps, operation), async (c) => {
      const { url, method } = c.req.raw;
      const headers = new Headers(c.req.raw.headers);
      headers.set("x-request-id", c.get("requestId"));
      // The body has been read to be checked: what goes on is what was accepted.
      const body = operation.body === undefined ? undefined : await c.req.text();
      const asked = {
        body: body === undefined || body === "" ? {} : JSON.parse(body),
        who: c.get("who"),
        callerAddress: callerAddressOf(headers),
        agent: headers.get("user-agent") ?? undefined,
        languages: headers.get("accept-language") ?? undefined,
      };
      await refuseTooMany(operation, asked);
      if (operation.bySession) await refuseImpersonator(deps, headers);
      const asIs = () => new Request(url, { method, headers, ...(body && { body }) });
      const unconfirmed = operation.confirmed && (await deps.logIns.confirm(asIs()));
      if (unconfirmed !== undefined) return unconfirmed;
      if (operation.serve !== undefined) {
        await operation.serve(deps, asked);
        return c.json({ status: true });
      }
      const answer = await deps.logIns.handle(asIs());
      if (answer.ok) await operation.afterwards?.(deps, asked);
      return answer;
    });
  return router;
};
