import { AddStaff } from "#core/contracts/add-staff.ts";
import { toWireId } from "#core/ids.ts";
import { addStaff } from "#commands/accounts/add-staff.ts";
import { addStaffLambda } from "#commands/runtime.ts";
import { unitOfWork } from "#commands/unit-of-work.ts";

/**
 * The Lambda by which the first member of staff is made (`npm run staff:add` on one machine). Whoever may invoke it is let in:
 * no gateway does. Its answer has a link that sets a password; nothing of it is logged.
 */
export const handler = addStaffLambda((deps) => async (event: unknown) => {
  const asked = AddStaff.safeParse(event);
  if (!asked.success)
    return {
      ok: false,
      code: "invalid_request",
      detail: 'send {"email": …, "role": "support" | "billing" | "operator" | "owner"}',
    };
  return unitOfWork(deps, "staff.add", { role: asked.data.role }, async (add) => {
    const added = await addStaff(deps, asked.data);
    if (!added.ok) {
      add({ code: added.error.code });
      return { ok: false, code: added.error.code, detail: added.error.detail };
    }
    const { accountId, link, linkEndsAt } = added.value;
    add({ account_id: accountId });
    return {
      ok: true,
      accountId: toWireId("account", accountId),
      link,
      linkEndsAt: linkEndsAt.toISOString(),
    };
  });
});
