import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { watchProvisioning } from "#commands/orders/watch-provisioning.ts";
import { FILLERS } from "#commands/fill-mail.ts";
import { sendDueMails } from "#commands/messages/send-mail.ts";
import { createMeasure } from "#commands/measure.ts";
import { METRICS_TYPE } from "#core/metrics-registry.ts";
import { localMetrics } from "#local/metrics.ts";
import { addHost } from "#commands/hosts/add-host.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { ReceivedReport, type AgentReport } from "#core/contracts/agent/report.ts";
import { recordUsage } from "#commands/usage/record-usage.ts";
import { batchHandler } from "#functions/batch.ts";
import { anAgentReport, aSample, minutesAfter } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  anActiveVm,
  anEnrolledHost,
  aPaidOrder,
  aPlacedOrder,
  aWorld,
  GUEST,
  hostSees,
  SYSTEM,
  type World,
} from "#test/harness/world.ts";

/* 5 item 5: what the control plane tells Prometheus and CloudWatch. */

let cp: ControlPlane;
let world: World;
let measure: () => Promise<void>;
beforeEach(async () => {
  cp = await startControlPlane();
  world = await aWorld(cp, { places: 5 });
  measure = createMeasure(cp.deps);
});
afterEach(() => cp.drop());

/** Everything that has happened is committed for long. */
async function measured(seconds = 30): Promise<void> {
  cp.clock.advance(seconds * 1000);
  await measure();
}
/** An order whose payment has been taken in. */
async function aPaidFor() {
  const order = await aPaidOrder(cp, world);
  await cp.pump();
  return order;
}
/** The value of one series. */
function told(series: string): number | undefined {
  const line = cp.metrics
    .text()
    .split("\n")
    .find((text) => text.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe("what happened", () => {
  test("is counted once: orders by the state that they came to, payments, and how long provisioning took", async () => {
    await aPlacedOrder(cp, world);
    const { vmId } = await aPaidFor();
    cp.clock.advance(12_000);
    await hostSees(cp, world.hostId, vmId, { observed: { guest: GUEST } });
    await measured();
    await measured();
    expect(told('berth_orders_total{state="awaiting_payment"}')).toBe(2);
    expect(told('berth_orders_total{state="paid"}')).toBe(1);
    expect(told('berth_orders_total{state="active"}')).toBe(1);
    expect(told('berth_payments_total{outcome="taken"}')).toBe(1);
    expect(told('berth_provisioning_seconds_bucket{le="10"}')).toBe(0);
    expect(told('berth_provisioning_seconds_bucket{le="20"}')).toBe(1);
    expect(told("berth_provisioning_seconds_sum")).toBe(12);
  });

  test("before it began to measure is not counted, and what is not settled is counted the next time", async () => {
    await aPlacedOrder(cp, world);
    cp.clock.advance(60_000);
    measure = createMeasure(cp.deps);
    await measured();
    await aPlacedOrder(cp, world);
    await measured(11);
    expect(told('berth_orders_total{state="awaiting_payment"}')).toBe(0);
    await measured();
    expect(told('berth_orders_total{state="awaiting_payment"}')).toBe(1);
  });

  test("is told of a refund when it falls due and when it is done", async () => {
    await aPaidFor();
    cp.clock.advanceMinutes(120);
    await watchProvisioning(cp.deps);
    await cp.pump();
    await measured();
    expect(told('berth_orders_total{state="refunding"}')).toBe(1);
    expect(told('berth_orders_total{state="refunded"}')).toBe(1);
    expect(told('berth_payments_total{outcome="refunded"}')).toBe(1);
  });

  test("is told of doorbells by how long a change waited for its ring", async () => {
    await aPaidFor();
    await measured();
    const before = told("berth_doorbell_lag_seconds_count") ?? 0;
    expect(before).toBeGreaterThan(0);
    expect(told('berth_doorbell_lag_seconds_bucket{le="1"}')).toBe(before);
  });

  test("is asked for once in ten seconds, whoever asks how often", async () => {
    cp.clock.advance(30_000);
    await measure();
    const asked = () => cp.steps.statements;
    const after = asked();
    await Promise.all([measure(), measure(), measure()]);
    expect(asked()).toBe(after);
    cp.clock.advance(10_000);
    await Promise.all([measure(), measure()]);
    const once = asked() - after;
    cp.clock.advance(10_000);
    await measure();
    expect(asked() - after).toBe(2 * once);
    expect(once).toBeGreaterThan(0);
  });
});

describe("what waits", () => {
  test("is orders by state, and since when the first of them was paid", async () => {
    await aPlacedOrder(cp, world);
    await aPaidFor();
    cp.clock.advance(20_000);
    await aPaidFor();
    await measured(40);
    expect(told('berth_orders_open{state="awaiting_payment"}')).toBe(1);
    expect(told('berth_orders_open{state="paid"}')).toBe(2);
    expect(told('berth_orders_open{state="refunding"}')).toBe(0);
    // The second was paid for 17 seconds after it was placed.
    expect(told("berth_order_undelivered_age_seconds")).toBe(77);
  });

  test("is events that nobody could send, and deliveries that nobody applied", async () => {
    await cp.pump();
    await measured();
    expect(told("berth_outbox_unsent_age_seconds")).toBe(0);
    expect(told("berth_inbox_unapplied_age_seconds")).toBe(0);
    await cp.rows(
      "insert into outbox (id, name, data, created_at) values (gen_random_uuid(), 'order.refund_fell_due.v1', '{}', $1)",
      cp.clock.now(),
    );
    await cp.rows(
      `insert into inbox (source, message_id, type, object_kind, body, received_at)
         values ('stripe', 'evt_stuck', 'invoice.paid', 'invoice', '{}', $1)`,
      minutesAfter(-1, cp.clock.now()),
    );
    await measured(45);
    expect(told("berth_outbox_unsent")).toBe(1);
    expect(told("berth_outbox_unsent_age_seconds")).toBe(45);
    expect(told("berth_inbox_unapplied")).toBe(1);
    expect(told("berth_inbox_unapplied_age_seconds")).toBe(105);
  });

  test("is mail that nobody took, and none that was sent", async () => {
    await measured();
    expect(told("berth_mail_waiting_age_seconds")).toBe(0);
    await aPlacedOrder(cp, world);
    await measured(40);
    expect(told("berth_mail_waiting_age_seconds")).toBe(40);
    await sendDueMails(cp.deps, FILLERS);
    await measured();
    expect(told("berth_mail_waiting_age_seconds")).toBe(0);
  });
});

describe("hosts", () => {
  test("5.6: is told of findings by kind while they are open, and of words that nobody knows together", async () => {
    const amiss = (kind: string) => told(`berth_findings_open{kind="${kind}"}`);
    const report = (over: Partial<AgentReport>) =>
      recordReport(cp.deps, world.hostId, anAgentReport(over));
    const { vmId } = await aPaidFor();
    await report({ clockOffsetSeconds: 9999 });
    const word = (code: string) => ({ vmId, code, detail: "" });
    const parsed = ReceivedReport.parse({
      ...anAgentReport(),
      findings: [word("a_newer_word"), word("another"), word("layers_left")],
    });
    await recordReport(cp.deps, world.hostId, parsed);
    await measured();
    expect(["clock_off", "layers_left", "other", "vm_lost"].map(amiss)).toEqual([1, 1, 2, 0]);
    await report({ clockOffsetSeconds: 0 });
    await measured();
    expect(["clock_off", "layers_left", "other"].map(amiss)).toEqual([0, 1, 2]);
  });

  test("are counted by state as they come and as staff move them", async () => {
    const { locationId } = world;
    const drained = await anEnrolledHost(cp, { locationId, places: 1 });
    await addHost(cp.deps, SYSTEM, { name: "new", locationId, testOnly: false, cpuOvercommit: 4 });
    await cp.rows("update hosts set state = 'draining' where id = $1", drained);
    await measured();
    expect(told('berth_hosts{state="active"}')).toBe(1);
    expect(told('berth_hosts{state="draining"}')).toBe(1);
    expect(told('berth_hosts{state="enrolling"}')).toBe(1);
    expect(told('berth_hosts{state="retired"}')).toBe(0);
    expect(await cp.rows("select state, hosts from host_counts order by state")).toEqual(
      await cp.rows(
        "select state, count(*)::int as hosts from hosts group by state order by state",
      ),
    );
  });

  // Whatever second of its two minutes it is.
  test.each([0, 119])(
    "are silent after five minutes and not before, %i s into the clock's own two minutes",
    async (seconds) => {
      cp.clock.advance(seconds * 1000);
      const loud = await anActiveVm(cp, world);
      await measured(299);
      expect(told("berth_hosts_silent")).toBe(0);
      await measured(12);
      expect(told("berth_hosts_silent")).toBe(1);
      await hostSees(cp, world.hostId, loud.vmId);
      await measured(12);
      expect(told("berth_hosts_silent")).toBe(0);
    },
  );

  test("that are retired are missed by nobody", async () => {
    await cp.rows("update hosts set state = 'retired'");
    await measured(3600);
    expect(told("berth_hosts_silent")).toBe(0);
  });
});

test("usage is late by its oldest sample, once for each batch that brought something", async () => {
  const { vmId } = await anActiveVm(cp, world);
  cp.clock.advanceMinutes(30);
  const at = (minutes: number) => minutesAfter(minutes, cp.clock.now()).toISOString();
  const samples = [
    aSample({ vmId, seq: 0, from: at(-21), to: at(-20) }),
    aSample({ vmId, seq: 1, from: at(-20), to: at(-1) }),
  ];
  await recordUsage(cp.deps, world.hostId, { samples });
  await recordUsage(cp.deps, world.hostId, { samples });
  expect(told("berth_usage_delay_seconds_count")).toBe(1);
  expect(told("berth_usage_delay_seconds_sum")).toBe(1200);
});

test("a message tells how long it lay in its queue, the first time that it comes", async () => {
  const handle = batchHandler(cp.deps, "test", async () => "done");
  const send = (queue: string, receives: string) =>
    handle({
      Records: [
        {
          messageId: "m-1",
          receiptHandle: "r-1",
          body: "{}",
          attributes: {
            ApproximateReceiveCount: receives,
            SentTimestamp: "1790000000000",
            ApproximateFirstReceiveTimestamp: "1790000007500",
            SenderId: "test",
          },
          messageAttributes: {},
          md5OfBody: "",
          eventSource: "aws:sqs",
          eventSourceARN: `arn:aws:sqs:eu-central-1:123456789012:${queue}`,
          awsRegion: "eu-central-1",
        },
      ],
    });
  await send("Berth-live-BillingEventsQueue4A7C-x9", "1");
  await send("Berth-live-BillingEventsQueue4A7C-x9", "2");
  await send("purchases", "1");
  expect(told('berth_queue_lag_seconds_count{queue="billing-events"}')).toBe(1);
  expect(told('berth_queue_lag_seconds_sum{queue="billing-events"}')).toBe(7.5);
  expect(told('berth_queue_lag_seconds_count{queue="purchases"}')).toBe(1);
  expect(told('berth_queue_lag_seconds_count{queue="outbox-events"}')).toBe(0);
});

describe("GET /metrics", () => {
  const page = (headers: Record<string, string> = {}) =>
    localMetrics(cp.deps, cp.metrics).request("/metrics", { headers });

  test("is Prometheus' text, measured when it is asked for", async () => {
    const answer = await page();
    expect(answer.headers.get("content-type")).toBe(METRICS_TYPE);
    expect(await answer.text()).toContain('berth_hosts{state="active"} 1\n');
  });

  test("is of a local stack alone, and not for pages of other sites", async () => {
    expect((await page({ origin: "https://evil.example" })).status).toBe(403);
    expect((await cp.fetch(new Request("http://berth.test/metrics"))).status).toBe(404);
  });
});
