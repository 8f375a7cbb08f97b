import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addHost, issueJoinToken } from "#commands/hosts/add-host.ts";
import { changeHost } from "#commands/hosts/change-host.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import { anAgentReport, hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import {
  anEnrolledHost,
  aPlacedOrder,
  aProvisionedVm,
  aPublicKey,
  aWorld,
  hostSees,
  sendOrder,
  SYSTEM,
  valueOf,
} from "#test/harness/world.ts";

/* 4b B2: a host's word may lower what it is trusted with, never raise it. */

let cp: ControlPlane;
let locationId: string;
beforeAll(async () => {
  cp = await startControlPlane();
  ({ locationId } = await aWorld(cp));
});
afterAll(() => cp.drop());

const CEILING = { vcpus: 100, memoryMib: 10_000, diskGib: 5000 };
const HUGE = { cpuThreads: 65_536, memoryMib: 2 ** 30, diskGib: 2 ** 30 };
const key = () => ({ kty: "OKP", crv: "Ed25519", x: aPublicKey() }) as const;
const capacityOf = async (id: string) => {
  const [row] = await cp.rows(
    `select capacity_vcpus as vcpus, capacity_memory_mib as "memoryMib", capacity_disk_gib as "diskGib"
       from hosts where id = $1`,
    id,
  );
  return row;
};
const audited = (id: string, action: string) =>
  cp.rows(
    "select actor_kind, detail from audit_log where subject_id = $1 and action = $2 order by id",
    id,
    action,
  );
const told = (id: string) => cp.log.errors.filter((line) => line["host_id"] === id);
const reports = (hostId: string, facts: Partial<HostFacts>) =>
  recordReport(cp.deps, hostId, anAgentReport({ facts: hostFacts(facts) }));

async function aHost(facts: Partial<HostFacts> = {}) {
  const { host, joinToken } = valueOf(
    await addHost(cp.deps, SYSTEM, {
      name: v7(),
      locationId,
      testOnly: false,
      cpuOvercommit: 4,
      ceiling: CEILING,
    }),
  );
  valueOf(await enrollHost(cp.deps, { joinToken, publicKey: key(), facts: hostFacts(facts) }));
  return host.id;
}

describe("staff's ceiling", () => {
  test("holds at the enrolment, at the next one, and at each report", async () => {
    const id = await aHost(HUGE);
    expect(await capacityOf(id)).toEqual(CEILING);
    await reports(id, { ...HUGE, memoryMib: 2 ** 29 });
    expect(await capacityOf(id)).toEqual(CEILING);
    const { joinToken } = valueOf(await issueJoinToken(cp.deps, SYSTEM, id));
    valueOf(await enrollHost(cp.deps, { joinToken, publicKey: key(), facts: hostFacts(HUGE) }));
    expect(await capacityOf(id)).toEqual(CEILING);
  });

  test("is lowered by the host's own word", async () => {
    const id = await aHost({ cpuThreads: 5, memoryMib: 4096, diskGib: 100 });
    expect(await capacityOf(id)).toEqual({ vcpus: 20, memoryMib: 2048, diskGib: 90 });
  });

  test("is a common machine's where staff say nothing", async () => {
    const host = { name: v7(), locationId, testOnly: false, cpuOvercommit: 4 };
    const { joinToken, host: added } = valueOf(await addHost(cp.deps, SYSTEM, host));
    expect(added.ceiling).toEqual({ vcpus: 256, memoryMib: 131_072, diskGib: 10_240 });
    valueOf(await enrollHost(cp.deps, { joinToken, publicKey: key(), facts: hostFacts(HUGE) }));
    expect(await capacityOf(added.id)).toEqual(added.ceiling);
  });

  test("is raised by staff alone, and what the host has is for sale at once", async () => {
    const id = await aHost({ cpuThreads: 50, memoryMib: 20_480, diskGib: 1000 });
    expect(await capacityOf(id)).toEqual({ vcpus: 100, memoryMib: 10_000, diskGib: 900 });
    const raise = () =>
      changeHost(cp.deps, SYSTEM, id, { ceiling: { vcpus: 150, memoryMib: 2 ** 30 } });
    expect(valueOf(await raise()).ceiling).toEqual({
      vcpus: 150,
      memoryMib: 2 ** 30,
      diskGib: 5000,
    });
    expect(await capacityOf(id)).toEqual({ vcpus: 150, memoryMib: 18_432, diskGib: 900 });
    valueOf(await raise());
    expect(await audited(id, "host.set_ceiling")).toEqual([
      {
        actor_kind: "system",
        detail: {
          from: "100 vCPUs, 10000 MiB, 5000 GiB",
          to: "150 vCPUs, 1073741824 MiB, 5000 GiB",
        },
      },
    ]);
  });

  test("that is lowered takes nothing back of what is given away", async () => {
    const id = await aHost();
    await cp.rows("update hosts set allocated_memory_mib = 9000 where id = $1", id);
    valueOf(await changeHost(cp.deps, SYSTEM, id, { ceiling: { memoryMib: 3, vcpus: 7 } }));
    expect(await capacityOf(id)).toEqual({ vcpus: 7, memoryMib: 9000, diskGib: 5000 });
  });

  test("of a host that is not there, or retired, is not changed; of one that has not enrolled it is", async () => {
    const change = (id: string) => changeHost(cp.deps, SYSTEM, id, { ceiling: { vcpus: 11 } });
    expect(await change(v7())).toMatchObject({ error: { code: "host_not_found" } });
    const id = await aHost();
    await cp.rows("update hosts set state = 'retired' where id = $1", id);
    expect(await change(id)).toMatchObject({ error: { code: "host_wrong_state" } });
    const added = { name: v7(), locationId, testOnly: false, cpuOvercommit: 4 };
    const { host } = valueOf(await addHost(cp.deps, SYSTEM, added));
    expect(valueOf(await change(host.id))).toMatchObject({ ceiling: { vcpus: 11 } });
    expect(await capacityOf(host.id)).toEqual({ vcpus: 0, memoryMib: 0, diskGib: 0 });
  });
});

describe("a host that says it only simulates", () => {
  test("draws no order, however large it says it is, and staff are told", async () => {
    const world = await aWorld(cp, { places: 5, addresses: 6 });
    const liar = await anEnrolledHost(cp, {
      locationId: world.locationId,
      places: 0,
      facts: { ...HUGE, accelerator: "simulated" },
    });
    for (let n = 0; n < 5; n++) await aPlacedOrder(cp, world);
    expect(
      await cp.rows("select count(*)::int as n from reservations where host_id = $1", liar),
    ).toEqual([{ n: 0 }]);
    expect(await sendOrder(cp, world)).toMatchObject({ error: { code: "no_capacity" } });
    expect(told(liar)).toEqual([
      { event: "host.not_for_customers", host_id: liar, accelerator: "simulated" },
    ]);
  });

  test("has its guests believed only where staff marked it for tests", async () => {
    const guest = { source: "simulated", hostname: "web-1" } as const;
    const evidence = async (testOnly: boolean) => {
      const world = await aWorld(cp, { testOnly });
      const { vmId, orderId } = await aProvisionedVm(cp, world);
      await hostSees(cp, world.hostId, vmId, { observed: { guest } });
      const [order] = await cp.rows("select state from orders where id = $1", orderId);
      const [vm] = await cp.rows(
        "select observed_power, guest_ready_at is not null as ready from vms where id = $1",
        vmId,
      );
      return { ...order, ...vm };
    };
    const seen = { observed_power: "running" };
    expect(await evidence(false)).toEqual({ ...seen, state: "paid", ready: false });
    expect(await evidence(true)).toEqual({ ...seen, state: "active", ready: true });
  });
});

describe("a jump in what a host says of itself", () => {
  test("is told to staff and audited, once", async () => {
    const id = await aHost({ memoryMib: 8192 });
    const grown = { memoryMib: 2 ** 30, accelerator: "simulated" as const };
    await reports(id, grown);
    await reports(id, grown);
    const jump = {
      memory_mib: "8192 to 1073741824",
      accelerator: "hardware to simulated",
    };
    expect(told(id)).toEqual([{ event: "host.facts_jumped", host_id: id, ...jump }]);
    expect(await audited(id, "host.facts_jump")).toEqual([{ actor_kind: "agent", detail: jump }]);
  });

  test("is told at another enrolment too", async () => {
    const id = await aHost();
    const { joinToken } = valueOf(await issueJoinToken(cp.deps, SYSTEM, id));
    const facts = hostFacts({ hypervisorVersion: "QEMU 2.0" });
    valueOf(await enrollHost(cp.deps, { joinToken, publicKey: key(), facts }));
    const jump = { hypervisor_version: "QEMU 10.1 to QEMU 2.0" };
    expect(told(id)).toEqual([{ event: "host.facts_jumped", host_id: id, ...jump }]);
    expect((await audited(id, "host.enroll")).at(-1)).toMatchObject({ detail: jump });
  });

  test("is none where it is a little", async () => {
    const id = await aHost({ memoryMib: 8192 });
    await reports(id, { memoryMib: 8100 });
    expect(told(id)).toEqual([]);
    expect(await audited(id, "host.facts_jump")).toEqual([]);
  });
});
