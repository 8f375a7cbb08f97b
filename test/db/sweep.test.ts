import { afterEach, beforeEach, expect, test } from "vitest";
import type { PaymentProvider } from "#core/billing/price-changes.ts";
import { createSweep, SWEEPS } from "#functions/sweep.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aPlacedOrder, aWorld } from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
  await aPlacedOrder(cp, await aWorld(cp));
  cp.clock.advanceMinutes(60); // its hold is over: the provider is asked
});
afterEach(() => cp.drop());

/** The provider, of which every call comes to this. */
const providerThat = (call: () => Promise<never>): PaymentProvider =>
  new Proxy(cp.deps.payments, { get: () => call });
const ended = () =>
  cp.log.lines.flatMap(({ event, outcome }) =>
    String(event).startsWith("sweep.") ? [`${String(event)} ${String(outcome)}`] : [],
  );

test("a provider that hangs keeps no sweep waiting but those that ask it", async () => {
  const asked = Promise.withResolvers<void>();
  const payments = providerThat(() => {
    asked.resolve();
    return new Promise<never>(() => undefined);
  });
  void createSweep({ ...cp.deps, payments })();
  await asked.promise;
  expect(ended()).toEqual(
    [
      "retry_inbox",
      "watch_provisioning",
      "expire_initial_passwords",
      "forget_old_links",
      "forget_spent_agent_tokens",
      "follow_maintenance",
      "tell_silent_hosts",
      "end_silent_findings",
      "follow_moves",
      "follow_drains",
      "tell_hanging_moves",
      "tell_hanging_changes",
      "tell_hanging_migrations",
      "tell_hanging_invoices",
      "follow_trials",
      "check_bought",
      "follow_rollouts",
      "note_old_agents",
      "relay_outbox",
      "send_mails",
      "check_health",
      "keep_usage_days",
      "purge_expired_orders",
      "purge_old_rows",
      "forget_unbegun_migrations",
    ].map((name) => `sweep.${name} ok`),
  );
});

test("a sweep that fails does not keep the others from running, and is told in the end", async () => {
  const payments = providerThat(() => Promise.reject(new Error("out of order, for the test")));
  await expect(createSweep({ ...cp.deps, payments })()).rejects.toThrow("1 sweeps failed");
  expect(ended()).toEqual(
    Object.keys(SWEEPS).map((name) =>
      name === "fetch_missed_events" ? "sweep.fetch_missed_events threw" : `sweep.${name} ok`,
    ),
  );
});
