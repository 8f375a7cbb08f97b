import type { DesiredVm, HostImage } from "#core/contracts/agent/desired.ts";
import type { Clock, IdSource } from "#core/ports.ts";
import { sizeIsSeen, wholeSize } from "#core/vms/seen-size.ts";
import type { SelftestStep, VmDriver } from "./driver.ts";

/** One step of a self-test: its name, and what does it and says what came of it. */
export type PlannedStep = readonly [step: string, run: () => Promise<string>];

/** How long a VM's files may be held after its end: by a merge, a backup, a virus scanner. */
const CLEAN_UP_MS = 120_000;
const PAUSE_MS = 5_000;

/**
 * Does the steps until one fails, and cleans up whatever happened: once a VM may be there, for two minutes, since whoever
 * tries a host must not be left with a VM that runs on.
 */
export async function takeSteps(
  plan: readonly PlannedStep[],
  clock: Clock,
  cleanUp: () => Promise<void>,
): Promise<readonly SelftestStep[]> {
  const steps: SelftestStep[] = [];
  try {
    for (const [step, run] of plan) if (!(await take(step, run))) break;
  } finally {
    const made = steps.some(({ step }) => step === "create");
    await take("clean up", () => cleanUpWithin(made ? CLEAN_UP_MS : 0));
  }
  return steps;

  async function take(step: string, run: () => Promise<string>): Promise<boolean> {
    const from = clock.now().getTime();
    const done = await run().then(
      (detail) => ({ ok: true, detail }),
      (error: unknown) => ({
        ok: false,
        detail: error instanceof Error ? error.message : String(error),
      }),
    );
    steps.push({ step, ...done, ms: clock.now().getTime() - from });
    return done.ok;
  }

  async function cleanUpWithin(ms: number): Promise<string> {
    const until = clock.now().getTime() + ms;
    for (let attempt = 1; ; attempt++) {
      try {
        await cleanUp();
        return `nothing is left${attempt === 1 ? "" : `, at attempt ${attempt}`}`;
      } catch (error) {
        if (clock.now().getTime() >= until) throw error;
        await clock.sleep(PAUSE_MS);
      }
    }
  }
}

/** Whether `list` shows the VM as the driver's contract promises. */
async function seenAs(
  driver: VmDriver,
  vm: DesiredVm,
  wanted: { power: string; memoryMib?: number },
  signal?: AbortSignal,
): Promise<string> {
  const found = (await driver.list(signal)).find((other) => other.vmId === vm.vmId);
  const { limits = null } = found ?? {};
  // A host that told its limits otherwise than they were set would have them set over and over.
  const limited = sizeIsSeen(wholeSize(vm), { size: vm.size, limits }) !== "differs";
  const fits =
    limited &&
    found?.power === wanted.power &&
    found.complete &&
    found.size.memoryMib === (wanted.memoryMib ?? vm.size.memoryMib) &&
    (found.power === "off") === (found.bootEpoch === null);
  if (!fits) throw new Error(`seen ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`);
  return `${found.power}, boot epoch ${found.bootEpoch ?? "none"}`;
}

/** The steps of a VM's life that every driver knows, from its creation to a resize. `cards`: whose traffic is counted. */
export function lifeOf(
  driver: VmDriver,
  vm: DesiredVm,
  cards: number,
  signal?: AbortSignal,
): PlannedStep[] {
  const seen = (wanted: { power: string; memoryMib?: number }) =>
    seenAs(driver, vm, wanted, signal);
  const bigger = { ...vm.size, memoryMib: vm.size.memoryMib + 64, diskGib: vm.size.diskGib + 1 };
  return [
    ["create", () => driver.create(vm, signal).then(() => seen({ power: "off" }))],
    ["create again", () => driver.create(vm, signal).then(() => seen({ power: "off" }))],
    ["start", () => driver.start(vm, signal).then(() => seen({ power: "running" }))],
    ["counters", () => checkCounters(driver, vm, cards, signal)],
    ["guard", () => checkGuard(driver, vm, signal)],
    ["reset", () => driver.once(vm, "reset", signal).then(() => seen({ power: "running" }))],
    ["stop", () => driver.stop(vm, "firm", signal).then(() => seen({ power: "off" }))],
    [
      "resize",
      async () => {
        await driver.resize({ ...vm, size: bigger }, signal);
        return seen({ power: "off", memoryMib: bigger.memoryMib });
      },
    ],
  ];
}

export const factsStep = (driver: VmDriver, signal?: AbortSignal): PlannedStep => [
  "facts",
  async () => JSON.stringify(await driver.facts(signal)),
];
export const eraseSeedStep = (
  driver: VmDriver,
  vm: DesiredVm,
  signal?: AbortSignal,
): PlannedStep => [
  "erase seed",
  () => driver.eraseSeed(vm, signal).then(() => "ejected and deleted"),
];

async function checkCounters(
  driver: VmDriver,
  vm: DesiredVm,
  cards: number,
  signal?: AbortSignal,
): Promise<string> {
  const counters = (await driver.counters(signal)).find((other) => other.vmId === vm.vmId);
  if (!counters) throw new Error("a running VM has no counters");
  const text = JSON.stringify(counters, (_, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
  // The first thing to find out on a real host: whether the instances of the counters are named as documented.
  if (counters.rxBytes.length !== cards || counters.memoryBytes === 0n) throw new Error(text);
  return text;
}

/** A VM that has just been started has all that keeps it from foreign addresses: nothing was to be put back. */
async function checkGuard(driver: VmDriver, vm: DesiredVm, signal?: AbortSignal): Promise<string> {
  await driver.guard([vm], signal);
  const [found] = driver.takeFindings();
  if (found !== undefined) throw new Error(`${found.code}: ${found.detail}`);
  return "nothing was missing";
}

/** An address of TEST-NET-1 (RFC 5737) and a locally administered MAC: no neighbour has either. */
export function tinyVm(
  { ids, clock }: { ids: IdSource; clock: Clock },
  image: HostImage,
  limits: { bandwidthMbit: number | null },
): DesiredVm {
  return {
    vmId: ids.newId(),
    generation: 1,
    ownerEpoch: 1,
    presence: "present",
    mayCreate: true,
    power: "running",
    stopMode: "firm",
    entitledUntil: clock.now().toISOString(),
    hostname: "berth-selftest.invalid",
    size: { vcpus: 1, memoryMib: Math.max(512, image.minMemoryMib), diskGib: 40 },
    image,
    nics: [
      {
        mac: "52:54:00:be:47:01",
        ipv4: { address: "192.0.2.250", prefix: 24, gateway: "192.0.2.1" },
        vlan: null,
        bandwidthMbit: limits.bandwidthMbit,
      },
    ],
    nameservers: [],
    sshKeys: [],
    userData: null,
    diskIops: 500,
    pendingActions: [],
  };
}
