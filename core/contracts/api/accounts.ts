import { z } from "@hono/zod-openapi";
import { MAX_EMAIL_LENGTH, ROLES, SCOPES, STAFF_ROLES } from "#core/accounts/accounts.ts";
import { use } from "#core/contracts/named.ts";
import { idOut } from "#core/ids.ts";
import { LOCALES } from "#core/messages/locale.ts";
import { Currency } from "#core/money.ts";
import { OrderedPageQuery, pageOf, sortBy } from "./page.ts";
import { Label } from "./values.ts";
import { Instant } from "#core/contracts/values.ts";

export const Role = z.enum(ROLES).openapi("Role");

export const StaffRoleName = z.enum(STAFF_ROLES).openapi("StaffRole");

const ScopeName = z.enum(SCOPES).openapi("Scope");

export const LocaleName = z.enum(LOCALES).openapi("Locale");

export const ChangeMe = z.strictObject({ locale: LocaleName }).openapi("ChangeMe");

export const CreateToken = z
  .strictObject({
    name: Label(60),
    scopes: z.array(ScopeName).min(1),
    expiresInDays: z.int().min(1).max(3650).optional(),
  })
  .openapi("CreateToken");

export const TokenView = z
  .object({
    id: z.string(),
    name: z.string(),
    start: z.string(),
    scopes: z.array(ScopeName),
    createdAt: Instant,
    expiresAt: Instant.nullable(),
    lastUsedAt: Instant.nullable(),
  })
  .openapi("Token");

export const CreatedToken = z
  .object({
    token: TokenView,
    secret: z.string().openapi({ description: "Shown this once; it is stored only hashed." }),
  })
  .openapi("CreatedToken");

export const Me = z
  .object({
    id: idOut("account"),
    email: z.string(),
    name: z.string(),
    role: Role,
    staffRole: StaffRoleName.optional().openapi({ description: "Of staff." }),
    scopes: z.array(ScopeName),
    currency: use(Currency).nullable().openapi({
      description:
        "What the account pays in, since its first payment. null: it has paid nothing yet.",
    }),
    locale: use(LocaleName).openapi({ description: "In which language you are written to." }),
  })
  .openapi("Me");

export const TokenPage = pageOf("TokenPage", TokenView);

/** What staff see of everybody. */
const ACCOUNT = {
  id: idOut("account"),
  email: z.string(),
  emailVerified: z.boolean(),
  name: z.string(),
  role: Role,
  staffRole: use(StaffRoleName).nullable().openapi({ description: "Of staff." }),
  secondFactor: z.boolean(),
  closedAt: Instant.nullable(),
  createdAt: Instant,
};
export const AccountView = z.object(ACCOUNT).openapi("Account");
export type AccountView = z.infer<typeof AccountView>;

export const AccountQuery = OrderedPageQuery.extend({
  role: Role.optional(),
  email: z
    .string()
    .trim()
    .toLowerCase()
    .min(1)
    .max(MAX_EMAIL_LENGTH)
    .refine((text) => text.isWellFormed() && !text.includes("\0"), "may not hold NUL")
    .optional()
    .openapi({
      param: { description: "What the address begins with." },
      pattern: "^\\s*[^\\s\\x00][^\\x00]*$",
    }),
  closed: z
    .enum(["true", "false"])
    .openapi("Closed")
    .optional()
    .openapi({ param: { description: "Only those that are closed, or that are not." } }),
  sort: sortBy(["createdAt", "email"], "-createdAt"),
});
export const AccountPage = pageOf("AccountPage", AccountView);
