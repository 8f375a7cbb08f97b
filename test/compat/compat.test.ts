import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { renderDesired as RenderDesired } from "#commands/vms/render-desired.ts";
import { startAgent, type AgentOf } from "./agents.ts";
import { startCompatPlane, until, type CompatPlane } from "./plane.ts";

/*
 * Agents that were shipped, and ones of later parts, against this control plane, whose every message has a field more, as
 * the next part's developer would add one: in what the commands answer and what is rendered, before it takes the shape that
 * the agent announced. What breaks here stands still on somebody's host.
 */
const inEveryAnswer = vi.hoisted(() => async (original: () => Promise<object>) => {
  const { answeringMore } = await import("./one-field-more.ts");
  return answeringMore(await original());
});
vi.mock("#commands/hosts/enroll-host.ts", inEveryAnswer);
vi.mock("#commands/hosts/open-agent-session.ts", inEveryAnswer);
vi.mock("#commands/vms/record-vm-report.ts", inEveryAnswer);
vi.mock("#commands/usage/record-usage.ts", inEveryAnswer);
vi.mock("#commands/vms/hand-initial-password.ts", inEveryAnswer);
/** What a later part would say of a VM that an agent of today may not know. */
const tomorrow = vi.hoisted(() => ({ vm: (vm: object): object => vm }));
vi.mock("#commands/vms/render-desired.ts", async (original) => {
  const { answeringMore } = await import("./one-field-more.ts");
  const { renderDesired } = await original<{ renderDesired: typeof RenderDesired }>();
  return answeringMore({
    renderDesired: (...args: Parameters<typeof RenderDesired>) => {
      const document = renderDesired(...args);
      return { ...document, vms: document.vms.map((vm) => tomorrow.vm(vm)) };
    },
  });
});

let plane: CompatPlane;
let agent: ReturnType<typeof startAgent> | null = null;
beforeEach(async () => {
  tomorrow.vm = (vm) => vm;
  plane = await startCompatPlane();
});
afterEach(async () => {
  await agent?.stop("SIGKILL");
  agent = null;
  await plane.close();
});

/** The agent's process is up; what it says on its error output fails the wait. */
function start(of: AgentOf) {
  agent = startAgent(plane, of);
  return agent;
}
const alive = () => {
  if (agent !== null && !agent.alive()) throw new Error(`the agent ended: ${agent.stderr()}`);
};

/** The control plane has heard, of the newest desire, that it is so; and the machine says the same. */
const settles = (vmId: string, power: "running" | "off") =>
  until(`${vmId} is ${power}`, async () => {
    alive();
    const vm = await plane.row(vmId);
    const heard =
      vm["observed_generation"] === vm["generation"] &&
      vm["observed_power"] === power &&
      vm["last_error_code"] === null;
    return heard && (await plane.runs(vmId)) === (power === "running");
  });

const hasUsage = async (vmId: string) => {
  const before = (await plane.samples(vmId)).length;
  await until(`usage of ${vmId} comes in`, async () => {
    alive();
    return (await plane.samples(vmId)).length > before;
  });
};

/** From the first sample to the last there is no gap and no overlap. */
async function expectWholeUsage(vmId: string) {
  const samples = await plane.samples(vmId);
  expect(samples.length).toBeGreaterThan(1);
  expect(samples.slice(1).map(({ from }) => from)).toEqual(
    samples.slice(0, -1).map(({ to }) => to),
  );
}

const expectQuiet = () => {
  expect(agent?.errors()).toEqual([]);
  expect(agent?.stderr()).toBe("");
  expect(plane.answers.filter((line) => !/ (200|304)$/.test(line))).toEqual([]);
  expect(plane.cp.log.errors).toEqual([]);
};

describe.each<[AgentOf, string]>([
  ["old", "the agent of protocol 1"],
  ["before", "the agent of before releases"], // 5 item 2
  ["new", "this agent"],
  ["later", "an agent of a later part, with a field more in all that it sends,"],
])("%s: %s against a control plane with a field more in every message", (of) => {
  test("enrols, makes a VM, stops, starts and reboots it, counts its usage, and removes it", async () => {
    // Of a family whose machines ask for a first password.
    await plane.cp.rows("update images set os = 'windows' where id = $1", plane.world.imageId);
    start(of);
    await plane.enrolled();
    const vmId = await plane.order();
    await settles(vmId, "running");
    expect(plane.answers).toContain(`POST /agent/v1/vms/${vmId}/initial-password 200`);
    await hasUsage(vmId);
    await plane.ask(vmId, "shutdown");
    await settles(vmId, "off");
    await plane.ask(vmId, "start");
    await settles(vmId, "running");
    expect(await plane.actionEnded(await plane.ask(vmId, "reboot"))).toBe("success");
    await hasUsage(vmId);
    await expectWholeUsage(vmId);
    // 4b A7: the delete takes over from a shutdown that has just begun.
    const stopping = await plane.ask(vmId, "shutdown");
    await plane.ask(vmId, "delete");
    expect(await plane.actionEnded(stopping)).toBe("error");
    await until("it is gone", async () => {
      alive();
      return (await plane.row(vmId))["deleted_at"] !== null;
    });
    expect(await plane.machine.vm(vmId)).toBeNull();
    expectQuiet();
  });

  test("leaves a VM that holds what it does not know as it is, and goes on with the others", async () => {
    start(of);
    await plane.enrolled();
    const [odd, other] = [await plane.order(), await plane.order()];
    await settles(odd, "running");
    await settles(other, "running");
    for (const change of UNKNOWN) {
      tomorrow.vm = (vm) => ("vmId" in vm && vm.vmId === odd ? change(vm) : vm);
      await plane.ask(odd, "stop");
      await plane.ask(other, "stop");
      await settles(other, "off");
      expect(await plane.runs(odd)).toBe(true);
      if (of === "old") {
        // To it the VM is one that nobody named: it says so, and nothing else of it.
        await until("it tells of a stranger", () =>
          plane.cp.log.errors.some(
            (line) =>
              line["event"] === "finding.opened" &&
              line["kind"] === "stranger" &&
              line["vm_id"] === odd,
          ),
        );
      } else {
        await until("it says that it does not support it", async () => {
          const { last_error_code: code, observed_power: power } = await plane.row(odd);
          return code === "unsupported_by_agent" && power === "running";
        });
        await hasUsage(odd);
      }
      tomorrow.vm = (vm) => vm;
      await settles(odd, "off");
      await plane.ask(odd, "start");
      await plane.ask(other, "start");
      await settles(odd, "running");
      await settles(other, "running");
    }
    await hasUsage(odd);
    await expectWholeUsage(odd);
    expect(await plane.machine.trash()).toEqual([]);
    expect(agent?.errors()).toEqual([]);
    expect(plane.answers.filter((line) => !/ (200|304)$/.test(line))).toEqual([]);
  });
});

test("5 item 2: of an agent of before releases the control plane knows the words, and every VM that holds no other goes on", async () => {
  start("before");
  await plane.enrolled();
  const [plain, hardware] = [await plane.order(), await plane.order({ firmware: "uefi" })];
  await settles(plain, "running");
  await settles(hardware, "running");
  const [host] = await plane.cp.rows("select understands from hosts where test_only");
  expect(host).toMatchObject({ understands: ["image-hardware", "repair", "root-password"] });
  // A release is on its way to it, of which it knows nothing: nothing comes of it, and nothing stands still.
  await plane.cp.rows(
    `with r as (insert into agent_releases (id, version, manifest_url, created_at)
       values (gen_random_uuid(), '9.0.0', 'https://releases.example/m.json', now()) returning id)
     update hosts set wanted_release_id = (select id from r)`,
  );
  await agent?.stop();
  start("before");
  for (const vmId of [plain, hardware]) {
    await plane.ask(vmId, "stop");
    await settles(vmId, "off");
    await plane.ask(vmId, "start");
    await settles(vmId, "running");
    await hasUsage(vmId);
    await plane.ask(vmId, "delete");
    await until("it is gone", async () => (await plane.row(vmId))["deleted_at"] !== null);
  }
  expectQuiet();
});

test("6a 2: what a VM is limited to is not known of an agent of before, which goes on; the next one says it, and sets it", async () => {
  start("before");
  await plane.enrolled();
  const vmId = await plane.order();
  await settles(vmId, "running");
  const { rows } = plane.cp;
  // As a resize will change it.
  await rows(
    "update vms set disk_iops = 700, bandwidth_mbit = 200, disk_gib = 21, generation = generation + 1",
  );
  await rows("update hosts set desired_generation = desired_generation + 1");
  await settles(vmId, "running");
  const grown = { seen_vcpus: 1, seen_memory_mib: 1024, seen_disk_gib: 21 };
  await until("its size is seen", async () => (await plane.row(vmId))["seen_disk_gib"] === 21);
  const untold = { seen_limits_known: false, seen_bandwidth_mbit: null, seen_disk_iops: null };
  expect(await plane.row(vmId)).toMatchObject({ ...grown, ...untold });
  await hasUsage(vmId);
  await agent?.stop();
  start("new");
  await until("its limits are", async () => (await plane.row(vmId))["seen_disk_iops"] === 700);
  const told = { seen_limits_known: true, seen_bandwidth_mbit: 200, seen_disk_iops: 700 };
  expect(await plane.row(vmId)).toMatchObject({ ...grown, ...told, last_error_code: null });
  expect(await plane.machine.vm(vmId)).toMatchObject({
    starts: 1,
    limits: { bandwidthMbit: 200, diskIops: 700 },
  });
  expectQuiet();
});

const UNKNOWN: readonly ((vm: object) => object)[] = [
  (vm) => ({ ...vm, needs: ["second-disk"] }),
  (vm) => ({ ...vm, stopMode: "suspend" }),
  (vm) => ({ ...vm, size: { vcpus: { sockets: 1 }, memoryMib: 1024, diskGib: 20 } }),
];

test("old and new agent in turn on one state folder: no VM stands still, none is touched, no usage is lost", async () => {
  start("old");
  await plane.enrolled();
  const vmIds = [await plane.order(), await plane.order()];
  for (const vmId of vmIds) await settles(vmId, "running");
  const disksOf = () =>
    Promise.all(vmIds.map(async (vmId) => (await plane.machine.vm(vmId))?.disk?.serial));
  const disks = await disksOf();
  const turns: readonly [AgentOf, "SIGTERM" | "SIGKILL"][] = [
    ["new", "SIGTERM"],
    ["old", "SIGKILL"],
    ["before", "SIGKILL"],
    ["new", "SIGKILL"],
    ["before", "SIGTERM"],
    ["old", "SIGTERM"],
    ["later", "SIGKILL"],
    ["new", "SIGTERM"],
  ];
  let power: "running" | "off" = "running";
  for (const [of, signal] of turns) {
    for (const vmId of vmIds) await hasUsage(vmId);
    await agent?.stop(signal);
    // Asked for while no agent is there, so that only the next one can do it.
    power = power === "running" ? "off" : "running";
    const [first = "", second = ""] = vmIds;
    await plane.ask(first, power === "running" ? "start" : "stop");
    start(of);
    await settles(first, power);
    // And once it is there.
    const rebooting = power === "running" ? first : second;
    expect(await plane.actionEnded(await plane.ask(rebooting, "reboot"))).toBe("success");
    if (power === "off") {
      power = "running";
      await plane.ask(first, "start");
      await settles(first, power);
    }
    for (const vmId of vmIds) await settles(vmId, "running");
    expect(agent?.errors()).toEqual([]);
  }
  for (const vmId of vmIds) {
    await hasUsage(vmId);
    await expectWholeUsage(vmId);
  }
  expect(await disksOf()).toEqual(disks);
  expect(await plane.machine.trash()).toEqual([]);
  expect(plane.cp.log.errors).toEqual([]);
});
