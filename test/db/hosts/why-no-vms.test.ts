import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { showHost, showHosts } from "#commands/hosts/show-hosts.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import { toHostDetailsView, toHostStandingView } from "#functions/host-views.ts";
import { toWireId } from "#core/ids.ts";
import { aHeldImage, ALL_CAPABILITIES, anAgentReport, hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, anEnrolledHost, aWorld, sendOrder, valueOf } from "#test/harness/world.ts";

/* 5.6: staff see how a host stands, and why it gets no VMs. */

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

const details = async (hostId: string) =>
  toHostDetailsView(valueOf(await showHost(cp.deps, hostId)), []);
const why = async (hostId: string) => (await details(hostId)).whyNoVms.map(({ code }) => code);
const told = async (hostId: string, facts: Partial<HostFacts>) =>
  valueOf(await recordReport(cp.deps, hostId, anAgentReport({ facts: hostFacts(facts) })));

describe("a host", () => {
  test("is shown with its versions, images, strangers, findings, and what it lacks with its reason", async () => {
    const { hostId } = await aWorld(cp);
    const vmId = v7();
    const missing = [{ capability: "iopsLimit", why: "its kernel is a tiny one" }];
    const facts = hostFacts({
      agentVersion: "0.7.1",
      hypervisorVersion: "QEMU 10.3",
      capabilities: { ...ALL_CAPABILITIES, iopsLimit: false, liveSnapshot: false },
      missing,
      images: [aHeldImage({ file: "debian-13" }), aHeldImage({ file: "alpine-3" })],
    });
    const strangers = [{ vmId, ownerEpoch: 4, power: "off" as const }];
    const since = cp.clock.now().toISOString();
    valueOf(
      await recordReport(
        cp.deps,
        hostId,
        anAgentReport({ facts, strangers, clockOffsetSeconds: 3 }),
      ),
    );
    expect(await details(hostId)).toMatchObject({
      state: "active",
      lastSeenAt: since,
      silentSince: null,
      clockOffsetSeconds: 3,
      agentVersion: "0.7.1",
      hypervisorVersion: "QEMU 10.3",
      capabilities: { bandwidthLimit: true, iopsLimit: false },
      missing: [
        { capability: "liveSnapshot", why: "its agent is of before reasons were told" },
        ...missing,
      ],
      images: [{ file: "alpine-3" }, { file: "debian-13" }],
      strangers: [{ vmId: toWireId("vm", vmId), detail: "tagged with epoch 4, off", since }],
      openFindings: 1,
      findings: [{ kind: "stranger", endedAt: null }],
      whyNoVms: [],
      hints: [],
    });
  });

  test("that says it lacks a limit gives its reason where placement goes by it", async () => {
    const { hostId } = await aWorld(cp, { facts: { memoryMib: 5000 } });
    const missing = [{ capability: "bandwidthLimit", why: "the kernel has no sch_sfq" }];
    const capabilities = { ...ALL_CAPABILITIES, bandwidthLimit: false };
    await told(hostId, { capabilities, missing, memoryMib: 5000 });
    expect((await details(hostId)).whyNoVms).toEqual([
      {
        code: "no_bandwidth_limit",
        detail: "it cannot hold a VM to the plan's bandwidth: the kernel has no sch_sfq",
      },
    ]);
  });

  test("gets an order just when the list of what keeps it from VMs is empty", async () => {
    const world = await aWorld(cp, { places: 1 });
    const { hostId } = world;
    const isTaken = async () => (await sendOrder(cp, world)).ok;
    const memory = { memoryMib: 3072 };
    const hinders = async (codes: readonly string[]) => {
      expect(await why(hostId)).toEqual(codes);
      expect(await isTaken()).toBe(false);
    };
    await told(hostId, { ...memory, images: [] });
    await hinders(["image_missing"]);
    await told(hostId, { ...memory, accelerator: "tcg" });
    await hinders(["emulation_without_test_mark"]);
    await told(hostId, memory);
    await cp.rows("update hosts set state = 'cordoned' where id = $1", hostId);
    await hinders(["cordoned"]);
    await cp.rows("update hosts set state = 'active' where id = $1", hostId);
    const lastHeard = cp.clock.now().toISOString();
    cp.clock.advanceMinutes(6);
    await hinders(["silent"]);
    expect((await details(hostId)).silentSince).toBe(lastHeard);
    await told(hostId, memory);
    expect(await why(hostId)).toEqual([]);
    expect(await isTaken()).toBe(true);
    await hinders(["full_memory"]);
  });

  test("that has not enrolled says just that", async () => {
    const { hostId } = await aWorld(cp);
    await cp.rows(
      "update hosts set state = 'enrolling', facts = null, last_seen_at = null where id = $1",
      hostId,
    );
    expect(await details(hostId)).toMatchObject({
      whyNoVms: [{ code: "not_enrolled" }],
      whyNotAll: [{ code: "not_enrolled" }],
      capabilities: {},
      missing: [],
      images: null,
      agentVersion: null,
    });
  });

  test("5.6: marked for tests though it has hardware is a hint, and no more", async () => {
    const { hostId } = await aWorld(cp, { testOnly: true });
    expect(await details(hostId)).toMatchObject({
      hints: [{ code: "test_mark_on_hardware" }],
      whyNoVms: [],
    });
    await told(hostId, { accelerator: "tcg" });
    expect((await details(hostId)).hints).toEqual([]);
  });
});

test("a page of hosts is read by as many statements as a host is", async () => {
  const world = await aWorld(cp, { places: 2 });
  await anActiveVm(cp, world);
  const { locationId } = world;
  const more: string[] = [];
  for (const places of [1, 2, 3])
    more.push(await anEnrolledHost(cp, { locationId, places, testOnly: places > 1 }));
  const asked = async (limit: number) => {
    const before = cp.steps.statements;
    const found = await showHosts(
      cp.deps,
      { locationId: null, state: null, group: null },
      { by: "createdAt", down: false },
      { limit, cursor: null },
    );
    if (!found.ok) throw new Error(found.error.code);
    const page = found.value;
    return { page, statements: cp.steps.statements - before };
  };
  const [one, many] = [await asked(1), await asked(100)];
  expect(many.page.items.length).toBeGreaterThan(3);
  expect(many.statements).toBe(one.statements);
  const shown = many.page.items.map((host) => toHostStandingView(host, []));
  for (const id of more) expect(shown.map((h) => h.id)).toContain(toWireId("host", id));
});
