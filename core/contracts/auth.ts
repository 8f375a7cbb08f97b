import { z } from "@hono/zod-openapi";
import {
  MAX_EMAIL_LENGTH,
  MAX_NAME_LENGTH,
  MAX_PASSWORD_LENGTH,
  MIN_PASSWORD_LENGTH,
} from "#core/accounts/accounts.ts";
import { Instant } from "./values.ts";
import { Role } from "#core/contracts/api/accounts.ts";
import { use } from "./named.ts";

/*
 * Signing up, logging in, sessions and second factors: what is served below `/v1/auth` (better-auth's routes of the
 * same names, docs at better-auth.com). The finer rules (how long a password is, what an address looks like) are the
 * accounts' own, and refused with a `reason` beside the code; the document tells them all the same.
 */

/** Text that the database can keep: it takes any character but NUL. */
const Text = (max: number) =>
  z
    .string()
    .max(max)
    .refine((text) => !text.includes("\0"), "may not hold NUL")
    .openapi({ pattern: "^[^\\x00]*$" });

const Email = Text(1024).openapi({
  format: "email",
  maxLength: MAX_EMAIL_LENGTH,
  example: "ada@example.com",
});
const Password = Text(1024).openapi({
  maxLength: MAX_PASSWORD_LENGTH,
  example: "correct horse battery",
});
const NewPassword = Password.openapi({ minLength: MIN_PASSWORD_LENGTH });
const Code = Text(64);
const TrustDevice = z
  .boolean()
  .optional()
  .openapi({ description: "Ask for no second factor on this device for 30 days." });
const RememberMe = z
  .boolean()
  .optional()
  .openapi({ description: "false: the session ends with the browser." });

const RevokeTokens = z.boolean().optional().openapi({
  description: "true: your API tokens end too. What stole a password may have made one.",
});

export const SignUp = z
  .strictObject({
    email: Email,
    name: Text(1024).openapi({
      pattern: "^\\s*[^\\x00\\s][^\\x00]*$",
      minLength: 1,
      maxLength: MAX_NAME_LENGTH,
      example: "Ada",
    }),
    password: NewPassword,
    rememberMe: RememberMe,
  })
  .openapi("SignUp");
export const SignIn = z
  .strictObject({
    email: Email,
    password: Password,
    rememberMe: RememberMe,
  })
  .openapi("SignIn");
const LinkSecret = Text(256).openapi({
  minLength: 1,
  description: "What stands behind `#` in the link that was mailed. It is good once.",
});
export const VerifyEmail = z.strictObject({ token: LinkSecret.min(1) }).openapi("VerifyEmail");
export const RequestPasswordReset = z
  .strictObject({ email: z.email().max(MAX_EMAIL_LENGTH) })
  .openapi("RequestPasswordReset");
export const ResetPassword = z
  .strictObject({
    token: LinkSecret.min(1),
    newPassword: NewPassword,
    revokeTokens: RevokeTokens,
  })
  .openapi("ResetPassword");
export const NoFields = z.strictObject({}).openapi("NoFields");
export const RevokeSession = z
  .strictObject({ token: Text(256).openapi({ description: "As `list-sessions` shows it." }) })
  .openapi("RevokeSession");
export const ChangePassword = z
  .strictObject({
    currentPassword: Password,
    newPassword: NewPassword,
    revokeTokens: RevokeTokens,
  })
  .openapi("ChangePassword");
export const ConfirmByPassword = z
  .strictObject({ password: Password })
  .openapi("ConfirmByPassword");
export const ConfirmByCode = z
  .strictObject({
    password: Password,
    code: Code.openapi({
      description: "Of the authenticator app, or a backup code; it is used up by this.",
      example: "123456",
    }),
  })
  .openapi("ConfirmByCode");
export const ChangeEmail = z
  .strictObject({
    newEmail: z.email().max(MAX_EMAIL_LENGTH),
    password: Password,
    code: Code.optional().openapi({
      description:
        "Where a second factor is set up: a code of the authenticator app, or a backup code; it is used up by this.",
      example: "123456",
    }),
  })
  .openapi("ChangeEmail");
export const ConfirmNewEmail = z
  .strictObject({ token: LinkSecret.min(1) })
  .openapi("ConfirmNewEmail");
export const VerifyTotp = z
  .strictObject({ code: Code.openapi({ example: "123456" }), trustDevice: TrustDevice })
  .openapi("VerifyTotp");
export const VerifyBackupCode = z
  .strictObject({ code: Code, trustDevice: TrustDevice })
  .openapi("VerifyBackupCode");

const Person = z
  .object({
    id: z.uuid(),
    email: z.string(),
    name: z.string(),
    emailVerified: z.boolean(),
    role: Role,
    twoFactorEnabled: z.boolean(),
    createdAt: Instant,
  })
  .openapi("Person");
const Session = z
  .object({
    id: z.uuid(),
    token: z.string(),
    expiresAt: Instant,
    createdAt: Instant,
    ipAddress: z.string().nullable(),
    userAgent: z.string().nullable(),
    impersonatedBy: z.uuid().nullable().openapi({
      description: "Who of our staff acts as you in it; null: nobody does.",
    }),
  })
  .openapi("Session");

/** The session itself is in the cookie that comes with this answer. */
export const LoggedIn = z
  .object({ token: z.string().nullable(), user: Person })
  .openapi("LoggedIn");
export const HalfLoggedIn = z
  .object({ twoFactorRedirect: z.literal(true), twoFactorMethods: z.array(z.string()) })
  .openapi("HalfLoggedIn", {
    description: "The password was right; the second factor is asked for next.",
  });
export const CurrentSession = use(
  z.object({ session: Session, user: Person }).openapi("CurrentSession"),
)
  .nullable()
  .openapi({ description: "null: nobody is logged in." });
export const Sessions = z.array(Session);
export const LoggedOut = z.object({ success: z.boolean() }).openapi("LoggedOut");
export const Done = z.object({ status: z.boolean() }).openapi("Done");
export const SecondFactor = z
  .object({
    method: z.literal("totp").openapi("SecondFactorMethod"),
    totpURI: z.string().openapi({ description: "For an authenticator app, as a QR code." }),
    backupCodes: z.array(z.string()),
  })
  .openapi("SecondFactor");
export const BackupCodes = z
  .object({ status: z.boolean(), backupCodes: z.array(z.string()) })
  .openapi("BackupCodes");
