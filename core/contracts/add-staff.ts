import { z } from "zod";
import { MAX_EMAIL_LENGTH, STAFF_ROLES } from "#core/accounts/accounts.ts";

/** Who becomes a member of staff: what the command line and the Lambda take. */
export const AddStaff = z.strictObject({
  email: z.string().trim().toLowerCase().max(MAX_EMAIL_LENGTH).pipe(z.email()),
  role: z.enum(STAFF_ROLES),
});
