import path from "node:path";
import type { DesiredVm, HostImage } from "#core/contracts/agent/desired.ts";
import type { IdSource } from "#core/ports.ts";
import { createHypervDriver, type HypervDriver } from "./driver.ts";
import type { SelftestStep } from "../driver.ts";
import type { HypervOptions } from "./options.ts";
import { emptyTrashOf } from "./trash.ts";

export type SelftestOptions = HypervOptions & Readonly<{ ids: IdSource }>;

/**
 * Tries the driver on this host: what its Hyper-V module offers against what the script calls, and then the life of
 * one tiny VM of `image`, which is removed again with its disks whatever happened. Stops at the first step that
 * fails, and in the middle of one when the signal says so. Needs an image and a switch; sends nothing on the network but
 * what the guest itself sends.
 */
export async function selftest(
  options: SelftestOptions,
  image: HostImage,
  signal?: AbortSignal,
): Promise<readonly SelftestStep[]> {
  const steps: SelftestStep[] = [];
  const driver = createHypervDriver(options);
  const vm = tinyVm(options, image);
  try {
    for (const [step, run] of plan(driver, vm, options.ids.newId(), signal))
      if (!(await take(step, run))) break;
  } finally {
    const made = steps.some(({ step }) => step === "create");
    await take("clean up", () => cleanUp(options, driver, vm, made ? CLEAN_UP_MS : 0));
    await driver.close();
  }
  return steps;

  async function take(step: string, run: () => Promise<string>): Promise<boolean> {
    const from = options.clock.now().getTime();
    const done = await run().then(
      (detail) => ({ ok: true, detail }),
      (error: unknown) => ({
        ok: false,
        detail: error instanceof Error ? error.message : String(error),
      }),
    );
    steps.push({ step, ...done, ms: options.clock.now().getTime() - from });
    return done.ok;
  }
}

/** How long a VM's files may be held after its end: by a merge, a backup, a virus scanner. */
const CLEAN_UP_MS = 120_000;
const PAUSE_MS = 5_000;

/** Tries again until it is done or the time is over: whoever tries a host must not be left with a VM that runs on. */
async function cleanUp(
  { clock, root }: SelftestOptions,
  driver: HypervDriver,
  vm: DesiredVm,
  withinMs: number,
): Promise<string> {
  const until = clock.now().getTime() + withinMs;
  for (let attempt = 1; ; attempt++) {
    try {
      await driver.destroy(vm);
      await emptyTrashOf(path.join(root, "trash"), vm.vmId);
      return `nothing is left${attempt === 1 ? "" : `, at attempt ${attempt}`}`;
    } catch (error) {
      if (clock.now().getTime() >= until) throw error;
      await clock.sleep(PAUSE_MS);
    }
  }
}

function plan(
  driver: HypervDriver,
  vm: DesiredVm,
  checkpointId: string,
  signal?: AbortSignal,
): [step: string, run: () => Promise<string>][] {
  const seen = async (wanted: { power: string; memoryMib?: number }) => {
    const found = (await driver.list(signal)).find((other) => other.vmId === vm.vmId);
    const fits =
      found?.power === wanted.power &&
      found.complete &&
      found.size.memoryMib === (wanted.memoryMib ?? vm.size.memoryMib) &&
      (found.power === "off") === (found.bootEpoch === null);
    if (!fits) throw new Error(`seen ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`);
    return `${found.power}, boot epoch ${found.bootEpoch ?? "none"}`;
  };
  const bigger = { ...vm.size, memoryMib: vm.size.memoryMib + 64, diskGib: vm.size.diskGib + 1 };
  return [
    ["facts", async () => JSON.stringify(await driver.facts(signal))],
    ["cmdlets", () => checkCmdlets(driver, signal)],
    ["create", () => driver.create(vm, signal).then(() => seen({ power: "off" }))],
    ["create again", () => driver.create(vm, signal).then(() => seen({ power: "off" }))],
    ["start", () => driver.start(vm, signal).then(() => seen({ power: "running" }))],
    ["counters", () => checkCounters(driver, vm, signal)],
    ["reset", () => driver.once(vm, "reset", signal).then(() => seen({ power: "running" }))],
    ["stop", () => driver.stop(vm, "firm", signal).then(() => seen({ power: "off" }))],
    [
      "resize",
      async () => {
        await driver.resize({ ...vm, size: bigger }, signal);
        return seen({ power: "off", memoryMib: bigger.memoryMib });
      },
    ],
    ["checkpoint", () => driver.checkpoint(vm, checkpointId, signal).then(() => "made")],
    ["revert", () => driver.revert(vm, checkpointId, signal).then(() => "brought back")],
    [
      "delete checkpoint",
      () => driver.deleteCheckpoint(vm, checkpointId, signal).then(() => "deleted"),
    ],
    ["erase seed", () => driver.eraseSeed(vm, signal).then(() => "ejected and deleted")],
  ];
}

/** The contract with the module: every cmdlet that the script calls is there, with every parameter it gives. */
async function checkCmdlets(driver: HypervDriver, signal?: AbortSignal): Promise<string> {
  const calls = await driver.cmdletCalls(signal);
  const missing = calls.flatMap((call) => call.missing.map((name) => `${call.cmdlet} ${name}`));
  if (missing.length > 0) throw new Error(`this host lacks ${missing.join(", ")}`);
  return `${calls.length} calls of ${new Set(calls.map((call) => call.cmdlet)).size} cmdlets`;
}

async function checkCounters(
  driver: HypervDriver,
  vm: DesiredVm,
  signal?: AbortSignal,
): Promise<string> {
  const counters = (await driver.counters(signal)).find((other) => other.vmId === vm.vmId);
  if (!counters) throw new Error("a running VM has no counters");
  const text = JSON.stringify(counters, (_, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
  // The first thing to find out on a real host: whether the instances of the counters are named as documented.
  if (counters.rxBytes.length !== vm.nics.length || counters.memoryBytes === 0n)
    throw new Error(text);
  return text;
}

/** An address of TEST-NET-1 (RFC 5737) and a locally administered MAC: no neighbour has either. */
function tinyVm(options: SelftestOptions, image: HostImage): DesiredVm {
  return {
    vmId: options.ids.newId(),
    generation: 1,
    ownerEpoch: 1,
    presence: "present",
    mayCreate: true,
    power: "running",
    stopMode: "firm",
    entitledUntil: options.clock.now().toISOString(),
    hostname: "berth-selftest.invalid",
    size: { vcpus: 1, memoryMib: Math.max(512, image.minMemoryMib), diskGib: 40 },
    image,
    nics: [
      {
        mac: "52:54:00:be:47:01",
        ipv4: { address: "192.0.2.250", prefix: 24, gateway: "192.0.2.1" },
        vlan: null,
        bandwidthMbit: 10,
      },
    ],
    nameservers: [],
    sshKeys: [],
    userData: null,
    diskIops: 500,
    pendingActions: [],
  };
}
