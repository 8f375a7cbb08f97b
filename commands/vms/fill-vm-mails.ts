import { SUSPENSIONS } from "#core/billing/suspension.ts";
import { toWireId } from "#core/ids.ts";
import type { MailValues } from "#core/messages/mail-values.ts";
import { initialUserOf, needsInitialPassword } from "#core/vms/initial-password.ts";
import { loadImage } from "#db/catalogue/catalogue.ts";
import { recipientOf } from "#db/messages/mails.ts";
import { loadVm, loadVmView, type VmRow } from "#db/vms/vms.ts";
import type { Filler, MailDeps } from "#commands/messages/send-mail.ts";

/** Whom a VM's mail is for: its owner, who is a customer. A billing system writes to its own. */
async function ownerOf(deps: MailDeps, { accountId }: VmRow) {
  const recipient = await recipientOf(deps.db, accountId);
  return recipient?.isCustomer
    ? { accountId, to: recipient.to, locale: recipient.locale }
    : undefined;
}

/** It runs for the first time: where it is, and how its owner comes in. */
export const READY_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const view = await loadVmView(deps.db, about);
    if (view === undefined || view.vm.presence === "absent") return { drop: "vm_is_to_go" };
    const { vm, addresses } = view;
    const owner = await ownerOf(deps, vm);
    const image = await loadImage(deps.db, vm.imageId);
    if (owner === undefined || image === undefined) return { drop: "nobody_to_mail" };
    const { os } = image;
    const byPassword = needsInitialPassword({ os, rootPassword: vm.rootPassword });
    const by: MailValues["vm_ready"]["by"] =
      os === "windows" ? "remote_desktop" : byPassword ? "ssh_password" : "ssh_key";
    const values = {
      hostname: vm.hostname,
      addresses: [...addresses],
      user: initialUserOf(os),
      by,
      vm: toWireId("vm", vm.id),
    };
    return { ...owner, letter: { kind: "vm_ready", values } };
  },
};

/** It may not run though it is paid. Of debt, the mail about the payment that failed says what comes of it. */
export const SUSPENDED_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const view = await loadVmView(deps.db, about);
    if (view === undefined || view.vm.presence === "absent") return { drop: "vm_is_to_go" };
    const reasons = SUSPENSIONS.filter((reason) => view.bought.suspensions.includes(reason));
    if (reasons.length === 0) return { drop: "not_suspended_any_more" };
    const owner = await ownerOf(deps, view.vm);
    if (owner === undefined) return { drop: "nobody_to_mail" };
    const values = { hostname: view.vm.hostname, reasons };
    return { ...owner, letter: { kind: "vm_suspended", values } };
  },
};

/** It is gone for good. Of one that never ran nobody was told that it is there. */
export const TERMINATED_MAIL: Filler = {
  fill: async (deps, { about }) => {
    const vm = await loadVm(deps.db, about);
    if (vm?.deletedAt == null) return { drop: "not_deleted" };
    if (vm.firstRunningAt === null) return { drop: "never_ran" };
    const owner = await ownerOf(deps, vm);
    if (owner === undefined) return { drop: "nobody_to_mail" };
    const values = { hostname: vm.hostname, deletedAt: vm.deletedAt.toISOString() };
    return { ...owner, letter: { kind: "vm_terminated", values } };
  },
};
