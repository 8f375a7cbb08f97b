import { KEPT_MS } from "#core/retention.ts";
import type { Row } from "../mirror.ts";
import { first, nowOf, type MakeCheck, type Scene } from "./scene.ts";

/**
 * 3. One key, one order, and one action: whatever somebody asks for begins in the commit that claims its key. (That
 * answers are the same is checked where they are read, in `people.ts`.) A second click, under a key of its own, begins no
 * second order while the first can be paid: nobody in here asks for another.
 */
export const oneKeyOneOrder: MakeCheck = (scene) => ({
  invariant: 3,
  onCommit: () => {
    const { keys, orders, actions } = scene.mirror;
    // Staff who adopt a VM that a restore lost write its order as it was placed, under no key.
    const adopted = ({ id }: Row<"orders">) => scene.restores.some((r) => r.lostOrders.has(id));
    const claimed = keys.changed.filter(({ before }) => before === null).length;
    const begun = [
      ...orders.changed.filter(
        ({ before, after }) => before === null && after !== null && !adopted(after),
      ),
      // These people ask for, and in here always under a key; moves, a drain and a plan migration too.
      ...actions.changed.filter(
        ({ before, after }) =>
          before === null && isPower(after?.type) && !isMovedByJob(scene, after?.vm_id),
      ),
    ];
    const lost = keys.changed.find(
      ({ before, after }) =>
        before !== null &&
        after === null &&
        !isOld(scene, before.created_at, KEPT_MS.answers) &&
        // It goes with an order that ran out.
        !orders.changed.some((o) => o.after === null && o.before?.id === before.resource_id),
    );
    if (lost) return `key ${lost.before?.key} was forgotten too early`;
    if (begun.length > claimed)
      return `${begun.map(({ after }) => after?.id).join(", ")} began under ${claimed} new keys`;
    return first(orders.changed, ({ before, after }) =>
      before === null && after !== null && !adopted(after) ? secondOf(scene, after) : undefined,
    );
  },
});
const isMovedByJob = ({ mirror }: Scene, vmId: string | undefined): boolean =>
  mirror.audit.changed.some(
    ({ after }) =>
      after?.action === "vm.migrate" && after.subject_id === vmId && after.actor_kind === "system",
  );
/** Whether what happened then is so long ago. What has not happened is not. */
const isOld = (scene: Scene, at: number | null | undefined, ms: number): boolean =>
  typeof at === "number" && at < nowOf(scene) - ms;
function secondOf(scene: Scene, order: Row<"orders">): string | undefined {
  const first = scene.mirror.orders
    .all()
    .find(
      (other) =>
        other.id !== order.id &&
        other.state === "awaiting_payment" &&
        other.expires_at > nowOf(scene) &&
        other.account_id === order.account_id &&
        other.plan_id === order.plan_id &&
        other.hostname === order.hostname,
    );
  return first && `order ${order.id} is order ${first.id} once more, which is open`;
}
/** A resize begins by its quote, which is taken once. */
const isPower = (type: string | undefined) =>
  type !== "create" && type !== "delete" && type !== "resize";

/** 4. Whatever came of the deliveries, what we hold is what the provider says. */
export const followsTheProvider: MakeCheck = (scene) => ({
  invariant: 4,
  onCommit: () =>
    first(scene.mirror.inbox.changed, ({ before, after }) =>
      before !== null &&
      before.applied_at !== null &&
      after !== null &&
      after.applied_at !== before.applied_at
        ? `delivery ${before.message_id} was applied twice`
        : undefined,
    ) ??
    first(scene.mirror.inbox.changed, ({ before, after }) =>
      after === null && !isOld(scene, before?.applied_at, KEPT_MS.appliedDeliveries)
        ? `delivery ${before?.message_id} was forgotten too early`
        : undefined,
    ),
  atRest: () =>
    first(scene.mirror.inbox.all(), (delivery) =>
      delivery.applied_at === null
        ? `delivery ${delivery.message_id} was never applied`
        : undefined,
    ) ?? first(scene.mirror.services.all(), (service) => entitledAsPaid(scene, service.vm_id)),
});

const OVER = new Set(["canceled", "incomplete_expired", "unpaid"]);
/** Stripe counts in whole seconds. */
const ROUNDING_MS = 1000;

/** A live VM is entitled to the end of the last period that was paid, and no further once its subscription is over. */
function entitledAsPaid(scene: Scene, vmId: string): string | undefined {
  const { mirror, provider } = scene;
  const service = mirror.services.get(vmId);
  const vm = mirror.vms.get(vmId);
  if (!service || vm?.presence !== "present" || service.subscription_id === null) return undefined;
  const { store } = provider.standIn;
  const subscription = store.get("subscription", service.subscription_id);
  const paid = store
    .all("invoice")
    .filter(
      (i) =>
        i.status === "paid" &&
        i.parent?.subscription_details?.subscription === service.subscription_id,
    )
    // A proration pays for no time beyond what its period has.
    .flatMap((i) =>
      i.lines.data
        .filter((line) => line.parent?.subscription_item_details?.proration !== true)
        .map((line) => line.period.end * 1000),
    );
  const paidUntil = Math.max(0, ...paid);
  const is = `VM ${vmId} is entitled until ${new Date(service.entitled_until).toISOString()}`;
  if (subscription && OVER.has(subscription.status))
    return service.entitled_until > nowOf(scene)
      ? `${is}, and its subscription is over`
      : undefined;
  return Math.abs(service.entitled_until - paidUntil) <= ROUNDING_MS
    ? undefined
    : `${is}, and is paid until ${new Date(paidUntil).toISOString()}`;
}

/**
 * 20. A change has its audit row and its outbox row in its own transaction. No row counts as sent that no queue took,
 * a sweep that ended well has passed over none, and in the end all are sent.
 */
export const changesAreRecorded: MakeCheck = (scene) => {
  const mail = watchOutbox(scene);
  return {
    invariant: 20,
    onCommit: () => mail.followCommit() ?? unrecorded(scene),
    onStep: mail.passedOver,
    atRest: () =>
      first(scene.mirror.outbox.all(), (row) =>
        row.sent_at === null ? `${row.name} was never sent` : undefined,
      ),
  };
};

/** 20. A mail counts as sent when it was handed over, is over once, and does not wait for ever. */
export const mailsAreSent: MakeCheck = (scene) => ({
  invariant: 20,
  onCommit: () =>
    first(scene.mirror.mails.changed, ({ before, after }) => {
      if (after === null) return `mail ${before?.id} was removed`;
      if (before?.state === after.state) return undefined;
      const what = `mail ${after.id} (${after.kind}) is ${after.state}`;
      if (before !== null && before.state !== "waiting") return `${what}, and was ${before.state}`;
      return after.state === "sent" && !scene.mails.some(({ id }) => id === after.id)
        ? `${what}, and nobody was handed it`
        : undefined;
    }),
  atRest: () =>
    first(scene.mirror.mails.all(), ({ id, kind, next_try_at }) =>
      next_try_at !== null && next_try_at < (scene.sim.rest.since ?? 0)
        ? `mail ${id} (${kind}) was never sent`
        : undefined,
    ),
});

/** An order that ran out unpaid goes after a month; nothing else of what is written down ever does. */
const mayBePurged = (order: Row<"orders"> | null): boolean =>
  order?.state === "expired" && order.paid_at === null;

/** What the last commit changed, and is written down nowhere, or told nobody. */
function unrecorded(scene: Scene): string | undefined {
  const { orders, vms, services, actions, audit, outbox } = scene.mirror;
  const orderIdOf = (vmId: string) => scene.mirror.orderOf(vmId)?.id;
  const audited = new Set(
    audit.changed.flatMap((c) => (c.after && !c.before ? [c.after.subject_id] : [])),
  );
  const told = outbox.changed.flatMap((c) => (c.after && !c.before ? [c.after] : []));
  /** `what` changed: there must be an audit row of one of `subjects`, and an event that names `id`. */
  const recorded = (what: string, subjects: readonly (string | undefined)[], id: string) => {
    if (!subjects.some((each) => each !== undefined && audited.has(each)))
      return `${what} without an audit row`;
    return told.some((event) => Object.values(event.data).includes(id))
      ? undefined
      : `${what} without an outbox row`;
  };
  return (
    first(orders.changed, ({ before, after }) => {
      if (after === null) return mayBePurged(before) ? undefined : "an order was removed";
      if (before?.state === after.state) return undefined;
      return recorded(`order ${after.id} became ${after.state}`, [after.id, after.vm_id], after.id);
    }) ??
    first(vms.changed, ({ before, after }) => {
      if (after === null) return "a VM's row was removed";
      if (before?.generation === after.generation && before.deleted_at === after.deleted_at)
        return undefined;
      // After a restore the counters of a host and of all its VMs rise at once, and no desire changes: one row for all.
      const raised = audit.changed.some(
        (c) => c.after?.action === "host.raise_counters" && c.after.subject_id === after.host_id,
      );
      if (raised && before?.desired_power === after.desired_power && !before.deleted_at)
        return undefined;
      // An action that is called off is the subject of what it takes back.
      const calledOff = actions.changed.flatMap((c) =>
        c.before && c.after?.vm_id === after.id ? [c.after.id] : [],
      );
      const subjects = [after.id, orderIdOf(after.id), ...calledOff];
      return recorded(`VM ${after.id} changed`, subjects, after.id);
    }) ??
    first(services.changed, ({ before, after }) => {
      if (after === null) return "what was bought was removed";
      if (
        before?.entitled_until === after.entitled_until &&
        before.plan_id === after.plan_id &&
        before.plan_version === after.plan_version &&
        before.amount_minor === after.amount_minor &&
        before.subscription_status === after.subscription_status &&
        before.suspensions.join() === after.suspensions.join()
      )
        return undefined;
      return recorded(
        `what was bought of VM ${after.vm_id} changed`,
        [after.vm_id, orderIdOf(after.vm_id)],
        after.vm_id,
      );
    }) ??
    first(actions.changed, ({ before, after }) => {
      if (after === null) return "an action was removed";
      if (before?.status === after.status) return undefined;
      return recorded(
        `action ${after.id} became ${after.status}`,
        [after.id, after.vm_id, orderIdOf(after.vm_id)],
        // Of one whose host is told what it waited to be told, its VM changes.
        before === null || after.status === "running" ? after.vm_id : after.id,
      );
    })
  );
}

function watchOutbox({ sim, mirror, queues, swept }: Scene) {
  const now = () => sim.scheduler.now().getTime();
  /** By id, each row that waits: since when, and its host's generation then. */
  const waiting = new Map<string, { since: number; generation: number }>();
  let judged: number | null = null;

  const generationOf = ({ data }: Row<"outbox">) =>
    mirror.hosts.get(String(data["hostId"]))?.desired_generation ?? 0;
  const isTaken = (row: Row<"outbox">, generation: number) =>
    isDoorbell(row)
      ? (queues.taken.generations.get(String(row.data["hostId"])) ?? -1) >= generation
      : queues.taken.events.has(row.id);

  return {
    followCommit: () =>
      first(mirror.outbox.changed, ({ before, after }) => {
        if (after === null)
          return before?.sent_at === null ? `${before.name} went unsent` : undefined;
        if (after.sent_at === null) {
          if (before === null)
            waiting.set(after.id, { since: now(), generation: generationOf(after) });
          return undefined;
        }
        const waited = waiting.get(after.id);
        waiting.delete(after.id);
        return waited === undefined || isTaken(after, waited.generation)
          ? undefined
          : `${after.name} counts as sent, and no queue took it`;
      }),
    /** Unsent, nobody's, and older than the sweep that has just ended. */
    passedOver: () => {
      const { began } = swept;
      if (began === null || began === judged) return undefined;
      judged = began;
      return first(waiting, ([id, { since }]) => {
        const row = mirror.outbox.get(id);
        return row && since < began && (row.leased_until ?? 0) < began
          ? `a sweep left ${row.name} unsent`
          : undefined;
      });
    },
  };
}
const isDoorbell = (row: Row<"outbox">) => row.name === "vm.change_requested.v1";
