import { actorOf, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Action } from "#core/vms/action.ts";
import {
  DESTROY_REQUEST_LASTS_MS,
  type DestroyKind,
  type DestroyRequest,
} from "#core/vms/destroy-request.ts";
import { loadImage } from "#db/catalogue/catalogue.ts";
import type { Tx } from "#db/client.ts";
import { loadHost } from "#db/hosts/hosts.ts";
import { recordChange } from "#db/record-change.ts";
import { inTransaction } from "#db/transaction.ts";
import {
  endDestroyRequest,
  findDestroyRequest,
  insertDestroyRequest,
  listOpenDestroyRequests,
  lockOpenDestroyRequest,
} from "#db/vms/destroy-requests.ts";
import { lockVm, type VmRow } from "#db/vms/vms.ts";
import { stamp, type Deps } from "#commands/deps.ts";
import { force, type Asked, type ForcedPlan, type Planned } from "#commands/forced.ts";
import { cursorToId, cutPage, type Page, type PageRequest } from "#commands/page.ts";
import { planOf } from "./repair-vm.ts";
import { requestAction, type ActionRefusal } from "./request-action.ts";

export type { DestroyRequest };

/* What is a customer's is destroyed by two of staff: one asks, another one confirms (ADR 0048). */

type PlanRefusal = Refusal<
  "vm_not_found" | "vm_protected" | "vm_not_lost" | "repair_unavailable" | "destroy_request_open"
>;
type EndRefusal =
  | PlanRefusal
  | Refusal<"destroy_request_not_found" | "destroy_request_ended" | "same_person">
  | ActionRefusal;

/** Asks for it, with a reason. Nothing is done until another one of staff confirms it, within a day. */
export const askToDestroy = (
  deps: Deps,
  input: Asked & { who: AccountPrincipal; vmId: string; how: DestroyKind; reason: string },
): Promise<
  Result<ForcedPlan & { done: DestroyRequest | null }, PlanRefusal | Refusal<"plan_changed">>
> =>
  force(
    deps,
    input,
    async (tx): Promise<Result<Planned<DestroyRequest, PlanRefusal>, PlanRefusal>> => {
      const at = stamp(deps);
      const vm = await lockVm(tx, input.vmId);
      const effects = await effectsOf(tx, vm, input.how);
      if (!effects.ok) return effects;
      const open = await lockOpenDestroyRequest(tx, input.vmId);
      if (open && open.expiresAt > at.now)
        return refuse("destroy_request_open", `destroy request ${open.id} is open for this VM`);
      return ok({
        of: { vmId: input.vmId, how: input.how, generation: vm?.generation ?? null },
        effects: [...effects.value, "another member of staff has a day to confirm it"],
        act: async () => {
          if (open) await endDestroyRequest(tx, open.id, { end: "expired", at: at.now, by: null });
          const request: DestroyRequest = {
            id: at.newId(),
            vmId: input.vmId,
            how: input.how,
            reason: input.reason,
            askedBy: input.who.accountId,
            askedAt: at.now,
            expiresAt: new Date(+at.now + DESTROY_REQUEST_LASTS_MS),
            end: null,
          };
          await insertDestroyRequest(tx, request);
          await record(tx, input.who, request, "ask_to_destroy", at);
          return ok(request);
        },
      });
    },
  );

/** Does what another one has asked for. Whoever asked is refused, whatever their role. */
export const confirmDestroy = (
  deps: Deps,
  input: Asked & { who: AccountPrincipal; requestId: string },
): Promise<Result<ForcedPlan & { done: Action | null }, EndRefusal | Refusal<"plan_changed">>> =>
  force(deps, input, async (tx): Promise<Result<Planned<Action, EndRefusal>, EndRefusal>> => {
    const at = stamp(deps);
    const held = await hold(tx, input.requestId, at.now);
    if (!held.ok) return held;
    const { vm, request } = held.value;
    const { id, vmId, how } = request;
    if (request.askedBy === input.who.accountId)
      return refuse("same_person", "whoever asked for it cannot confirm it: another one must");
    const effects = await effectsOf(tx, vm, how);
    if (!effects.ok) return effects;
    return ok({
      of: { requestId: id, vmId, how, generation: vm?.generation ?? null },
      effects: effects.value,
      act: async () => {
        const type = how === "give_up" ? "delete" : how;
        const begun = await requestAction(
          { ...deps, db: tx },
          { who: input.who, vmId, type, confirmed: true },
        );
        if (!begun.ok) return begun;
        const by = input.who.accountId;
        await endDestroyRequest(tx, id, { end: "confirmed", at: at.now, by });
        await record(tx, input.who, request, "confirm_destroy", at);
        return begun;
      },
    });
  });

/** Any of staff takes it back. One that has ended is refused, unless it ended so. */
export async function withdrawDestroy(
  deps: Deps,
  { who, requestId }: { who: AccountPrincipal; requestId: string },
): Promise<Result<null, Refusal<"destroy_request_not_found" | "destroy_request_ended">>> {
  return inTransaction(
    deps.db,
    async (
      tx,
    ): Promise<Result<null, Refusal<"destroy_request_not_found" | "destroy_request_ended">>> => {
      const at = stamp(deps);
      if ((await findDestroyRequest(tx, requestId))?.end === "withdrawn") return ok(null);
      const held = await hold(tx, requestId, at.now);
      if (!held.ok) return held;
      const { request } = held.value;
      await endDestroyRequest(tx, request.id, { end: "withdrawn", at: at.now, by: who.accountId });
      await record(tx, who, request, "withdraw_destroy", at);
      return ok(null);
    },
  );
}

/** Those that wait for another one, the newest first. */
export async function showDestroyRequests(
  deps: Pick<Deps, "db" | "clock">,
  page: PageRequest,
): Promise<Page<DestroyRequest>> {
  const of = { limit: page.limit + 1, before: cursorToId(page.cursor) };
  const rows = await listOpenDestroyRequests(deps.db, deps.clock.now(), of);
  return cutPage(rows, page.limit, (r) => r.id);
}

/** The VM before its request, as everywhere. */
async function hold(
  tx: Tx,
  requestId: string,
  now: Date,
): Promise<
  Result<
    { vm: VmRow | undefined; request: DestroyRequest },
    Refusal<"destroy_request_not_found" | "destroy_request_ended">
  >
> {
  const found = await findDestroyRequest(tx, requestId);
  if (!found) return refuse("destroy_request_not_found", "no such destroy request");
  const vm = await lockVm(tx, found.vmId);
  const request = await lockOpenDestroyRequest(tx, found.vmId);
  if (request?.id !== requestId || request.expiresAt <= now)
    return refuse("destroy_request_ended", "it was confirmed or withdrawn, or has run out");
  return ok({ vm, request });
}

async function effectsOf(
  tx: Tx,
  vm: VmRow | undefined,
  how: DestroyKind,
): Promise<Result<readonly string[], PlanRefusal>> {
  if (!vm || vm.presence === "absent") return refuse("vm_not_found", "no such VM");
  if (vm.deleteProtected)
    return refuse("vm_protected", "it is protected from deletion: take that off first");
  if (how === "delete")
    return ok([
      "the VM is deleted; its disk lies in its host's trash for its days",
      "its subscription is cancelled at the provider, and its address is free for others after a day",
    ]);
  const [host, image] = [await loadHost(tx, vm.hostId), await loadImage(tx, vm.imageId)];
  if (!host || !image) throw new Error(`the host or the image of VM ${vm.id} vanished`);
  const planned = planOf(vm, image.os, how, host);
  return planned.ok ? ok(planned.value.effects) : planned;
}

const record = (
  tx: Tx,
  who: AccountPrincipal,
  { id, vmId, how, reason }: DestroyRequest,
  action: string,
  at: ReturnType<typeof stamp>,
): Promise<void> =>
  recordChange(
    tx,
    {
      actor: actorOf(who),
      action: `vm.${action}`,
      subject: { kind: "vm", id: vmId },
      detail: { request_id: id, how, reason },
      events: [{ name: "vm.destroy_request_changed.v1", data: { vmId, requestId: id } }],
    },
    at,
  );
