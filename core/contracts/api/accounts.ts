import { z } from "@hono/zod-openapi";
import { ROLES, SCOPES, STAFF_ROLES } from "#core/accounts/accounts.ts";
import { idOut } from "#core/ids.ts";
import { pageOf } from "./page.ts";
import { Label } from "./values.ts";
import { Instant } from "#core/contracts/values.ts";

export const Role = z.enum(ROLES).openapi("Role");

export const StaffRoleName = z.enum(STAFF_ROLES).openapi("StaffRole");

const ScopeName = z.enum(SCOPES).openapi("Scope");

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
  })
  .openapi("Me");

export const TokenPage = pageOf("TokenPage", TokenView);
