import type { Mutant } from "./plant.ts";

/** Of inbox, outbox, audit log and keys. */
export const MESSAGES: readonly Mutant[] = [
  {
    name: "inbox: a delivery may be claimed twice",
    file: "db/messages/inbox.ts",
    find: "eq(inbox.messageId, at.messageId), isNull(inbox.appliedAt))",
    replace: "eq(inbox.messageId, at.messageId))",
  },
  {
    name: "outbox: a change of a VM is written without its outbox row",
    file: "commands/vms/request-action.ts",
    find: `{ name: "vm.change_requested.v1", data: { vmId: vm.id, hostId: vm.hostId } },`,
    replace: "",
  },
  {
    name: "relay: by cursor, what it has passed is never looked at again",
    file: "db/messages/outbox.ts",
    find: "or(isNull(outbox.leasedUntil), lt(outbox.leasedUntil, at.now))",
    replace: "sql`${outbox.seq} > ${sql.placeholder('passed')}::bigint`",
    also: {
      find: "const rows = await unsentTaken(db, input);",
      replace: `const passed = () => Reflect.get(db, 'passed') ?? 0n;
  const rows = await unsentTaken(db, Object.assign({ passed: passed() }, input));
  for (const r of rows) if (r.seq > passed()) Reflect.set(db, 'passed', r.seq);`,
    },
  },
  {
    name: "relay: what was taken and not sent is never taken again",
    file: "db/messages/outbox.ts",
    find: "or(isNull(outbox.leasedUntil), lt(outbox.leasedUntil, at.now))",
    replace: "isNull(outbox.leasedUntil)",
  },
  {
    name: "relay: what could not be sent counts as sent",
    file: "commands/messages/relay-outbox.ts",
    find: `await send(deps, group);
      sent.push(...group.map((r) => r.seq));`,
    replace: `sent.push(...group.map((r) => r.seq));
      await send(deps, group);`,
  },
  {
    name: "outbox: its rows are written after the commit",
    file: "db/record-change.ts",
    find: "const events = rows.flatMap((row) => row.events);",
    replace: `const events: { id: string; event: Event }[] = [];
  const later = rows.flatMap((row) => row.events).map(({ id, event: e }) => ({ id, name: e.name, data: e.data, createdAt: at.now }));
  if (later.length > 0)
    setTimeout(() => void tx.insert(outbox).values(later).then(() => undefined, () => undefined), 1);`,
  },
  {
    name: "audit: a change of an entitlement is written down nowhere",
    file: "commands/orders/follow-provider.ts",
    find: `await recordChange(
    tx,
    {
      actor,
      action: "entitlement.change",`,
    replace: `if (+at.now === 0) await recordChange(
    tx,
    {
      actor,
      action: "entitlement.change",`,
  },
  {
    name: "webhook: a VM that is to go is entitled again",
    file: "commands/orders/follow-provider.ts",
    find: `vm.presence === "absent" || `,
    replace: "",
  },
  {
    name: "key: another body under a used key is taken",
    file: "db/messages/idempotency.ts",
    find: "if (prior.requestHash !== k.requestHash)",
    replace: `if (prior.requestHash === "")`,
  },
  {
    name: "key: a repeat makes a second order",
    file: "db/messages/idempotency.ts",
    find: `if (mine.length === 1) return ok({ kind: "first" });`,
    replace: `if (mine.length < 2) return ok({ kind: "first" });`,
  },
  {
    name: "key: a repeat of an order that is placed is refused",
    file: "commands/orders/place-order.ts",
    find: "return ok({ answer: AnsweredOrder.parse(claim.value.response) });",
    replace: `return refuse("order_wrong_state", "this order was placed before");`,
  },
  {
    name: "key: a repeat begins a second action",
    file: "commands/messages/answer-once.ts",
    find: `if (claim.value.kind === "answered") return ok(answer.parse(claim.value.response));`,
    replace: "",
    also: {
      find: `if (claim.value.kind === "resume") throw new Error("a key was kept without its answer");`,
      replace: "",
    },
  },
  {
    name: "key: a repeat of an action is answered anew",
    file: "commands/messages/answer-once.ts",
    find: "if (key === undefined) return work(deps);",
    replace: "if (key?.key !== '') return work(deps);",
  },
  {
    name: "sweep: nobody relays what a crash left",
    file: "functions/sweep.ts",
    find: "relay_outbox: relayOutbox,",
    replace: "",
  },
  {
    name: "sweep: nobody looks after deliveries that were not applied",
    file: "functions/sweep.ts",
    find: "retry_inbox: async (deps: Deps) => ({ rung: await retryInbox(deps) }),",
    replace: "",
  },
];
