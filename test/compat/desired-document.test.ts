import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import type { renderDesired } from "#commands/vms/render-desired.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { ANNOUNCES_NOTHING, type Announced } from "#core/contracts/agent/protocol.ts";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { desiredHash } from "#host-agent/converge/desired.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { anActiveVm, aWorld, valueOf, type World } from "#test/harness/world.ts";

/** What the next deploy would render otherwise. */
const deploy = vi.hoisted(() => ({ vm: (vm: DesiredVm): object => vm }));
vi.mock("#commands/vms/render-desired.ts", async (original) => {
  const real = await original<{ renderDesired: typeof renderDesired }>();
  const rendered: typeof renderDesired = (hostId, desired) => {
    const document = real.renderDesired(hostId, desired);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a field of tomorrow has no type today
    return { ...document, vms: document.vms.map((vm) => deploy.vm(vm) as DesiredVm) };
  };
  return { renderDesired: rendered };
});

const SPEAKS_2: Announced = { protocol: 2, understands: [] };

let cp: ControlPlane;
beforeAll(async () => {
  cp = await startControlPlane();
});
afterAll(() => cp.drop());

async function aHostWithAVm() {
  deploy.vm = (vm) => vm;
  const world = await aWorld(cp);
  const { vmId } = await anActiveVm(cp, world);
  let read = createDesiredReader(cp.deps);
  let etag: string | undefined;
  return {
    world,
    vmId,
    /** The reader's process begins anew: it remembers nothing. */
    restart() {
      read = createDesiredReader(cp.deps);
    },
    /** What its agent asks: by the ETag that it has. null: unchanged. */
    async poll(announced: Announced = SPEAKS_2, atLeast = 0) {
      const answer = await read(world.hostId, { etag, atLeast, announced });
      etag = answer.etag;
      return answer.kind === "unchanged" ? null : answer.document;
    },
    /** Later than anything that is answered from memory. */
    later: () => cp.clock.advanceMinutes(5),
  };
}
type Host = Awaited<ReturnType<typeof aHostWithAVm>>;

async function polled(host: Host, announced: Announced = SPEAKS_2) {
  const document = await host.poll(announced);
  if (document === null) throw new Error("there was nothing new");
  expect(document.hash).toBe(desiredHash(document.vms));
  return document;
}

/** As staff might, by hand. */
const setBandwidth = (world: World, mbit: number) =>
  cp.rows("update vms set bandwidth_mbit = $2 where host_id = $1", world.hostId, mbit);

describe("a generation never stands for two contents", () => {
  test.each<[string, (host: Host) => Promise<unknown>]>([
    ["a limit that staff changed", ({ world }) => setBandwidth(world, 250)],
    [
      "an image that staff changed",
      ({ world }) => cp.rows("update images set min_memory_mib = 300 where id = $1", world.imageId),
    ],
    [
      "nameservers that staff changed",
      ({ world }) =>
        cp.rows(
          "update locations set nameservers = '{192.0.2.99}' where id = $1",
          world.locationId,
        ),
    ],
    [
      "a deploy that renders a field more",
      async () => {
        deploy.vm = (vm) => ({ ...vm, tomorrow: 1 });
      },
    ],
  ])("%s raises it when the host next asks, once", async (_, change) => {
    const host = await aHostWithAVm();
    const before = await polled(host);
    await change(host);
    host.later();
    host.restart();
    const after = await polled(host);
    expect(after.generation).toBe(before.generation + 1);
    expect(after.hash).not.toBe(before.hash);
    host.later();
    expect(await host.poll()).toBeNull();
    host.restart();
    expect(await host.poll()).toBeNull();
  });

  test("an agent that is upgraded in place gets its new rendering at once, as another generation", async () => {
    const host = await aHostWithAVm();
    deploy.vm = (vm) => ({ ...vm, tomorrow: { more: true } });
    const before = await polled(host, ANNOUNCES_NOTHING);
    expect(before.vms[0]).not.toHaveProperty("tomorrow");
    const after = await polled(host, SPEAKS_2);
    expect(after.generation).toBe(before.generation + 1);
    expect(after.vms[0]).toMatchObject({ tomorrow: { more: true } });
    // Nor does it go back when the agent does.
    expect(await polled(host, ANNOUNCES_NOTHING)).toMatchObject({
      generation: after.generation + 1,
      hash: before.hash,
    });
  });

  test("an upgrade that changes nothing of the content raises nothing", async () => {
    const host = await aHostWithAVm();
    await polled(host, ANNOUNCES_NOTHING);
    expect(await host.poll(SPEAKS_2)).toBeNull();
  });

  test("what a command raised is served under that generation", async () => {
    const host = await aHostWithAVm();
    const before = await polled(host);
    const { world, vmId } = host;
    valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type: "shutdown" }));
    host.later();
    expect(await polled(host)).toMatchObject({
      generation: before.generation + 1,
      vms: [{ power: "off" }],
    });
  });

  test("ten readers at once after a change agree on one generation and one content", async () => {
    const host = await aHostWithAVm();
    const before = await polled(host);
    await setBandwidth(host.world, 333);
    const all = await Promise.all(
      Array.from({ length: 10 }, () =>
        createDesiredReader(cp.deps)(host.world.hostId, {
          etag: undefined,
          atLeast: 0,
          announced: SPEAKS_2,
        }),
      ),
    );
    expect(new Set(all.map(({ etag }) => etag)).size).toBe(1);
    expect(all[0]).toMatchObject({ document: { generation: before.generation + 1 } });
  });
});

test("idle polls do not touch the database, and a changed announcement does", async () => {
  const host = await aHostWithAVm();
  let reads = 0;
  const deps = {
    ...cp.deps,
    get db() {
      reads += 1;
      return cp.deps.db;
    },
  };
  const read = createDesiredReader(deps);
  const poll = (etag: string | undefined, announced: Announced) =>
    read(host.world.hostId, { etag, atLeast: 0, announced });
  const { etag } = await poll(undefined, SPEAKS_2);
  const once = reads;
  for (let n = 0; n < 5; n++)
    expect(await poll(etag, SPEAKS_2)).toMatchObject({ kind: "unchanged" });
  expect(reads).toBe(once);
  await poll(etag, { protocol: 2, understands: ["second-disk"] });
  expect(reads).toBeGreaterThan(once);
});

describe("who announces nothing", () => {
  const FIELDS =
    "vmId generation ownerEpoch presence mayCreate power stopMode entitledUntil hostname size image nics " +
    "nameservers sshKeys userData diskIops pendingActions";

  test("gets today's fields and no other, at every depth, under a hash of just these", async () => {
    const host = await aHostWithAVm();
    const today = await polled(host, ANNOUNCES_NOTHING);
    expect(Object.keys(today).toSorted()).toEqual(
      ["entitlementGraceSeconds", "generation", "hash", "hostId", "vms"].toSorted(),
    );
    expect(Object.keys(today.vms[0] ?? {}).toSorted()).toEqual(FIELDS.split(" ").toSorted());
    deploy.vm = (vm) => ({
      ...vm,
      needs: [],
      size: { ...vm.size, gpus: 1 },
      image: { ...vm.image, sha256: "0" },
      nics: vm.nics.map((nic) => ({ ...nic, ipv6: null, ipv4: { ...nic.ipv4, mtu: 1500 } })),
    });
    host.later();
    host.restart();
    expect(await host.poll(ANNOUNCES_NOTHING)).toBeNull();
  });

  test.each<[string, (vm: DesiredVm) => object]>([
    ["a need", (vm) => ({ ...vm, needs: ["second-disk"] })],
    ["a state of tomorrow", (vm) => ({ ...vm, power: "hibernated" })],
    ["a shape of tomorrow", (vm) => ({ ...vm, nics: [] })],
  ])("is not told of a VM with %s; the others go on", async (_, change) => {
    const host = await aHostWithAVm();
    const other = await anActiveVm(cp, host.world);
    deploy.vm = (vm) => (vm.vmId === host.vmId ? change(vm) : vm);
    const { vms } = await polled(host, ANNOUNCES_NOTHING);
    expect(vms.map((vm) => vm.vmId)).toEqual([other.vmId]);
    expect((await polled(host, SPEAKS_2)).vms).toHaveLength(2);
  });
});
