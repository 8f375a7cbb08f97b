import { createHash } from "node:crypto";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { DriverCapabilities, HeldImage, HostFacts } from "#core/contracts/agent/report.ts";
import { limitsOf } from "#core/hosts/limits.ts";
import type { Clock, IdSource, Log } from "#core/ports.ts";
import { desiredLimits, sizeIsSeen, wholeSize, type VmLimits } from "#core/vms/seen-size.ts";
import { refuseBeyondLimits } from "../beyond-limits.ts";
import { CAPABILITIES, missingOf } from "../capabilities.ts";
import {
  administratorPassword,
  asksForPassword,
  DriverError,
  type InstallationId,
  isForeign,
  type VmDriver,
  type VmRef,
} from "../driver.ts";
import { createFindings } from "../findings.ts";
import { REALISTIC_DELAYS, type SimulatedDelays } from "./delays.ts";
import { noFaults, type FaultHook } from "./faults.ts";
import { countersAt, definitionAt, observe, runAt, UNLIMITED } from "./guest.ts";
import { simulatedMoves, type SimulatedMoves } from "./moves.ts";
import type { SimulatedWorld, VmRecord } from "./world.ts";

export type SimulatedOptions = {
  world: SimulatedWorld;
  clock: Clock;
  /** Names boot epochs and disks. */
  ids: IdSource;
  delays?: SimulatedDelays;
  capabilities?: Partial<DriverCapabilities>;
  /** The hypervisor it says it is; with it come its driver's capabilities. Left out: KVM, with every capability. */
  hypervisor?: HostFacts["hypervisor"];
  host?: Partial<Pick<HostFacts, "cpuThreads" | "memoryMib" | "diskGib">>;
  /** File names of the images that the host has; left out: every image is there, and it does not say which. */
  images?: readonly string[];
  agentVersion?: string;
  faults?: FaultHook;
  log?: Log;
  /** Left out: it knows none. */
  installation?: InstallationId;
  /** Left out: it takes no part in moves. */
  moves?: SimulatedMoves;
};

/** A running VM may grow to so many times the size it was started with. No vCPU is added to one on Hyper-V. */
const HOT_GROWTH = {
  kvm: { vcpus: 4, memory: 4 },
  hyperv: { vcpus: 1, memory: 4 },
} as const satisfies Record<HostFacts["hypervisor"], object>;
const ALL_CAPABILITIES: DriverCapabilities = {
  hotResize: true,
  hotVcpus: true,
  hotMemory: true,
  hotDiskGrow: true,
  gracefulStop: true,
  liveSnapshot: true,
  rootPassword: true,
  bios: true,
  uefi: true,
  secureBoot: true,
  secureBootUefiCa: true,
  diskBus: true,
  adoptDisk: true,
  restoreTrash: true,
  moveCold: true,
  bandwidthLimit: true,
  iopsLimit: true,
};

/** A hypervisor that is a few records and a clock. It keeps the whole contract of `VmDriver`, refusals included. */
export function createSimulatedDriver(options: SimulatedOptions): VmDriver {
  const { world, clock, ids } = options;
  const delays = options.delays ?? REALISTIC_DELAYS;
  const named =
    options.hypervisor === undefined ? ALL_CAPABILITIES : CAPABILITIES[options.hypervisor];
  const can: DriverCapabilities = { ...named, ...options.capabilities };
  const faults = options.faults ?? noFaults;
  const hypervisor = options.hypervisor ?? "kvm";
  // With the build of Windows Server 2025, whose limits then hold.
  const hypervisorVersion = hypervisor === "hyperv" ? "simulated 10.0.26100" : "simulated";
  const cpuThreads = options.host?.cpuThreads ?? 64;
  const most = limitsOf({ hypervisor, hypervisorVersion, cpuThreads });
  const findings = createFindings(options.log ?? { info: () => undefined, error: () => undefined });
  const now = () => clock.now().getTime();
  const installation = options.installation ?? (() => null);
  const foreign = (vm: VmRecord) => isForeign(vm.installation ?? null, installation());
  /** Those that bear Berth's tag, and no other Berth's. */
  const tagged = async () =>
    (await world.vms()).flatMap((vm) =>
      vm.ownerEpoch === null || foreign(vm) ? [] : [{ vm, ownerEpoch: vm.ownerEpoch }],
    );

  /** Passes one point: the fault hook, then the time that the real thing takes. */
  async function step(
    operation: string,
    name: string,
    vmId: string | null,
    delayMs: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    signal?.throwIfAborted();
    await faults({ operation, step: name, vmId }, signal);
    signal?.throwIfAborted();
    if (delayMs > 0) await clock.sleep(delayMs, signal);
  }

  async function find(ref: VmRef): Promise<VmRecord | null> {
    const vm = await world.vm(ref.vmId);
    if (vm === null) return null;
    if (vm.ownerEpoch === null)
      throw new DriverError("not_ours", `VM ${ref.vmId} carries no tag of Berth's`);
    if (foreign(vm)) throw new DriverError("not_ours", `VM ${ref.vmId} is another Berth's`);
    if (vm.ownerEpoch !== ref.ownerEpoch)
      throw new DriverError(
        "stale_epoch",
        `VM ${ref.vmId} is tagged with epoch ${vm.ownerEpoch}, not ${ref.ownerEpoch}`,
      );
    return vm;
  }

  async function must(ref: VmRef): Promise<VmRecord> {
    const vm = await find(ref);
    if (vm === null) throw new DriverError("driver_failed", `there is no VM ${ref.vmId}`);
    return vm;
  }

  /** As a hypervisor does, refuses a second VM of one id: somebody may have made one by hand meanwhile. */
  async function save(ref: VmRef, record: VmRecord): Promise<void> {
    await find(ref);
    await world.putVm(record);
  }

  async function powerOff(
    operation: string,
    vm: VmRecord,
    signal?: AbortSignal,
  ): Promise<VmRecord> {
    if (vm.run === null) return vm;
    const wasOn = runAt(vm, now()) !== null;
    await step(operation, "power_off", vm.vmId, wasOn ? delays.firmStop : 0, signal);
    const off = { ...vm, run: null };
    await world.putVm(off);
    return off;
  }

  /** Of a record without a definition, the one that is defined as `vm` says. */
  const defined = (vm: DesiredVm, record: VmRecord): VmRecord =>
    limitedAs(vm, {
      ...record,
      size: vm.size,
      seed: record.seed ?? { hostname: vm.hostname, erased: true },
      definition: { macs: vm.nics.map((nic) => nic.mac) },
    });
  const refuse = (vm: DesiredVm) => {
    refuseBeyondLimits(vm.size, most);
    refuseLimits(desiredLimits(vm), UNLIMITED, can);
  };

  return {
    // Its images are names.
    imageFolder: null,
    moves: options.moves
      ? simulatedMoves(options.moves, {
          find: async (ref) => {
            const vm = await find(ref);
            return vm === null ? null : stopped(vm, now());
          },
          isOff: (vm) => runAt(vm, now()) === null,
          put: (record) => world.putVm(record),
          step: (operation, name, vmId, signal) => step(operation, name, vmId, 0, signal),
          refuse,
          defined: (vm, disk) => defined(vm, { ...blank(vm, installation()), disk }),
          sumOf: (file) => (options.images?.includes(file) === false ? null : sumOfImage(file)),
        })
      : null,
    async facts(signal) {
      await step("facts", "read", null, 0, signal);
      return {
        hypervisor,
        hypervisorVersion,
        osVersion: hypervisorVersion,
        accelerator: "simulated",
        capabilities: can,
        missing: missingOf(hypervisor, can),
        cpuThreads,
        memoryMib: options.host?.memoryMib ?? 262_144,
        diskGib: options.host?.diskGib ?? 8192,
        agentVersion: options.agentVersion ?? "simulated",
        ...(options.images && { images: options.images.map(heldImage) }),
      };
    },

    async list(signal) {
      await step("list", "read", null, delays.list, signal);
      const at = now();
      return (await tagged()).map(({ vm, ownerEpoch }) => observe(vm, ownerEpoch, at));
    },

    async create(vm, signal, secrets) {
      let record: VmRecord = stopped((await find(vm)) ?? blank(vm, installation()), now());
      if (record.definition === null) refuse(vm);
      if (record.disk === null) {
        if (options.images && !options.images.includes(vm.image.file))
          throw new DriverError("image_missing", `there is no image ${vm.image.file}`);
        await step("create", "disk", vm.vmId, delays.disk, signal);
        const disk = { serial: ids.newId(), image: vm.image.file, everStarted: false };
        record = { ...record, size: vm.size, disk };
        await save(vm, record);
      }
      if (record.seed === null) {
        await step("create", "seed", vm.vmId, delays.seed, signal);
        // The guest that would use it is simulated; that it must be had first is not.
        if (asksForPassword(vm)) await administratorPassword(secrets, signal);
        record = { ...record, seed: { hostname: vm.hostname, erased: false } };
        await save(vm, record);
      }
      if (record.definition === null) {
        await step("create", "define", vm.vmId, delays.define, signal);
        // vCPUs and memory live in the definition, so a later order's count; the disk is what it is.
        const size = { ...vm.size, diskGib: record.size.diskGib };
        const definition = { macs: vm.nics.map((nic) => nic.mac) };
        record = limitedAs(vm, { ...record, size, definition });
        await save(vm, record);
      }
      await step("create", "done", vm.vmId, 0, signal);
    },

    async adopt(vm, signal) {
      const held = await find(vm);
      if (held?.undefinedRun && runAt(held, now()) !== null) {
        await step("adopt", "define", vm.vmId, delays.define, signal);
        const { undefinedRun: _, ...defined } = held;
        await world.putVm(defined);
        return;
      }
      if (held === null || held.disk === null)
        throw new DriverError("vm_missing", `there is no disk of VM ${vm.vmId}`);
      if (held.disk.image !== vm.image.file || held.size.diskGib !== vm.size.diskGib)
        throw new DriverError("unsupported", `the disk of VM ${vm.vmId} is not the one it had`);
      const record = stopped(held, now());
      if (record.definition !== null) return;
      await step("adopt", "define", vm.vmId, delays.define, signal);
      await world.putVm(defined(vm, record));
    },

    async restore(vm, signal) {
      const place = await find(vm);
      if (can.restoreTrash !== true)
        throw new DriverError("unsupported", "this host cannot bring a disk back from its trash");
      const [newest] = (await world.trash())
        .filter((each) => each.held?.vmId === vm.vmId && each.held.ownerEpoch === vm.ownerEpoch)
        .toSorted((a, b) => b.trashedAt - a.trashedAt);
      if (newest?.held === undefined)
        throw new DriverError("vm_missing", `there is no disk of VM ${vm.vmId} in the trash`);
      // Whatever it was released for is over.
      const { released: _, ...held } = newest.held;
      if (place !== null && place.disk !== null && place.disk.serial !== newest.serial)
        throw new DriverError("unsupported", `another disk of VM ${vm.vmId} lies in its place`);
      if (held.disk?.image !== vm.image.file || held.size.diskGib !== vm.size.diskGib)
        throw new DriverError("unsupported", `the disk of VM ${vm.vmId} is not the one it had`);
      if (place?.disk?.serial !== newest.serial) {
        await step("restore", "disk", vm.vmId, 0, signal);
        await world.putVm({ ...held, definition: null, run: null });
      }
      await step("restore", "define", vm.vmId, delays.define, signal);
      await world.putVm(defined(vm, { ...held, run: null }));
      await step("restore", "leave_trash", vm.vmId, 0, signal);
      await world.removeTrash(newest.serial);
    },

    async start(ref, signal) {
      const vm = stopped(await must(ref), now());
      refuseReleased(vm);
      if (vm.disk === null || vm.definition === null)
        throw new DriverError("driver_failed", `VM ${ref.vmId} is not complete`);
      const run = runAt(vm, now());
      if (run?.paused) {
        await step("start", "resume", ref.vmId, 0, signal);
        await world.putVm({ ...vm, run: { ...run, paused: false } });
        return;
      }
      if (run?.failed) throw new DriverError("driver_failed", `VM ${ref.vmId} has failed`);
      if (run !== null) return;
      await step("start", "power_on", ref.vmId, delays.start, signal);
      const startedAt = now();
      const { spoiltMemory, ...rest } = vm;
      if (spoiltMemory)
        findings.add({
          vmId: vm.vmId,
          code: "saved_state_dropped",
          detail: "its saved memory could not be restored and was dropped",
        });
      await world.putVm({
        ...rest,
        disk: { ...vm.disk, everStarted: true },
        starts: vm.starts + 1,
        run: {
          bootEpoch: ids.newId(),
          startedAt,
          guestFrom: startedAt + delays.guestReady,
          offFrom: null,
          paused: false,
          failed: false,
          maxVcpus: vm.size.vcpus * HOT_GROWTH[hypervisor].vcpus,
          maxMemoryMib: vm.size.memoryMib * HOT_GROWTH[hypervisor].memory,
        },
      });
      await step("start", "done", ref.vmId, 0, signal);
    },

    async stop(ref, mode, signal) {
      const vm = await must(ref);
      if (mode === "firm") {
        await powerOff("stop", vm, signal);
        return;
      }
      const run = runAt(vm, now());
      if (run === null) return;
      if (!can.gracefulStop)
        throw new DriverError("unsupported", "this host cannot ask a guest to shut down");
      if (run.offFrom !== null || run.paused || run.failed || delays.gracefulStop === null) return;
      await step("stop", "ask_guest", ref.vmId, 0, signal);
      await world.putVm({ ...vm, run: { ...run, offFrom: now() + delays.gracefulStop } });
    },

    async once(ref, action, signal) {
      const vm = await must(ref);
      const run = runAt(vm, now());
      if (run === null) throw new DriverError("unsupported", `VM ${ref.vmId} is off`);
      if (action === "reboot" && !can.gracefulStop)
        throw new DriverError("unsupported", "this host cannot ask a guest to reboot");
      await step("once", action, ref.vmId, 0, signal);
      // The process goes on, so the boot epoch does too; only the guest begins again.
      await world.putVm({ ...vm, run: { ...run, guestFrom: now() + delays.guestReady } });
      await step("once", "done", ref.vmId, 0, signal);
    },

    async resize(vm, signal) {
      const record = await must(vm);
      refuseReleased(record);
      const { size, limits = UNLIMITED } = record;
      if (sizeIsSeen(wholeSize(vm), { size, limits }) === "seen") return;
      refuseLimits(desiredLimits(vm), limits, can);
      if (vm.size.diskGib < record.size.diskGib)
        throw new DriverError("unsupported", "a disk never shrinks");
      refuseBeyondLimits(vm.size, most);
      const run = runAt(record, now());
      if (run !== null) refuseColdResize(vm, record, can, run);
      await step("resize", "apply", vm.vmId, delays.resize, signal);
      await world.putVm(limitedAs(vm, { ...record, size: vm.size }));
    },

    async eraseSeed(ref, signal) {
      const vm = await must(ref);
      if (vm.seed === null || vm.seed.erased) return;
      await step("erase_seed", "erase", ref.vmId, 0, signal);
      await world.putVm({ ...vm, seed: { ...vm.seed, erased: true } });
      await step("erase_seed", "done", ref.vmId, 0, signal);
    },

    async destroy(ref, signal) {
      const found = await find(ref);
      if (found === null) return;
      let vm = await powerOff("destroy", found, signal);
      if (vm.definition !== null) {
        await step("destroy", "undefine", ref.vmId, delays.undefine, signal);
        vm = { ...vm, definition: null, seed: null };
        await world.putVm(vm);
      }
      if (vm.disk !== null) {
        await step("destroy", "trash", ref.vmId, 0, signal);
        const { serial } = vm.disk;
        await world.putTrash({ serial, vmId: vm.vmId, trashedAt: now(), held: vm });
      }
      await step("destroy", "forget", ref.vmId, 0, signal);
      await world.removeVm(ref.vmId);
    },

    async counters(signal) {
      await step("counters", "read", null, delays.list, signal);
      const at = now();
      return (await tagged()).flatMap(({ vm }) => {
        const run = runAt(vm, at);
        return run === null ? [] : [countersAt(vm, run, at)];
      });
    },

    async emptyTrash(before, signal) {
      const old = (await world.trash()).filter((disk) => disk.trashedAt < before.getTime());
      for (const disk of old) {
        await step("empty_trash", "remove", disk.vmId, 0, signal);
        await world.removeTrash(disk.serial);
      }
      return old.length;
    },

    async guard(vms, signal) {
      await step("guard", "read", null, delays.list, signal);
      for (const { vmId, ownerEpoch } of vms) {
        const vm = await world.vm(vmId);
        if (vm?.ownerEpoch !== ownerEpoch || foreign(vm) || !vm.unguarded) continue;
        const { unguarded: _, ...guarded } = vm;
        await world.putVm(guarded);
        findings.add({ vmId, code: "spoof_guard_restored", detail: "it was gone; put back" });
      }
    },
    async claim(vms, signal) {
      const own = installation();
      if (own === null) return 0;
      let claimed = 0;
      for (const { vmId, ownerEpoch } of vms) {
        const vm = await world.vm(vmId);
        if (vm?.ownerEpoch !== ownerEpoch || vm.installation !== undefined) continue;
        await step("claim", "write", vmId, 0, signal);
        await world.putVm({ ...vm, installation: own });
        claimed += 1;
      }
      return claimed;
    },
    takeFindings: () => findings.take(),

    close: async () => undefined,
  };
}

/** Without what went with its process. */
function stopped(vm: VmRecord, now: number): VmRecord {
  if (!vm.undefinedRun || definitionAt(vm, now) !== null) return vm;
  const { undefinedRun: _, ...rest } = vm;
  return { ...rest, definition: null };
}

function blank(vm: DesiredVm, installation: string | null): VmRecord {
  return {
    vmId: vm.vmId,
    ownerEpoch: vm.ownerEpoch,
    ...(installation !== null && { installation }),
    size: vm.size,
    disk: null,
    seed: null,
    definition: null,
    run: null,
    starts: 0,
  };
}

/** Another host has it, or is about to. */
function refuseReleased(vm: VmRecord): void {
  if (vm.released)
    throw new DriverError("stale_epoch", `VM ${vm.vmId} was released to another host`);
}

/** One that is limited to nothing says nothing of it, as before there were limits. */
function limitedAs(vm: DesiredVm, record: VmRecord): VmRecord {
  const limits = desiredLimits(vm);
  const { limits: _, ...free } = record;
  const isLimited = limits.bandwidthMbit !== null || limits.diskIops !== null;
  return isLimited ? { ...record, limits } : free;
}

/** What its host cannot hold it to is refused, as long as it is not so already. */
function refuseLimits(wanted: VmLimits, has: VmLimits, can: DriverCapabilities): void {
  const lacks = (limit: keyof VmLimits, capability: "bandwidthLimit" | "iopsLimit") =>
    wanted[limit] !== null && wanted[limit] !== has[limit] && !can[capability];
  if (lacks("bandwidthMbit", "bandwidthLimit"))
    throw new DriverError("unsupported", "this host cannot limit bandwidth");
  if (lacks("diskIops", "iopsLimit"))
    throw new DriverError("unsupported", "this host cannot limit IOPS");
}

/** While a VM runs it may only grow, within the capabilities and within what it was started with. */
function refuseColdResize(
  desired: DesiredVm,
  vm: VmRecord,
  can: DriverCapabilities,
  run: { maxVcpus: number; maxMemoryMib: number },
): void {
  const { vcpus, memoryMib, diskGib } = desired.size;
  const shrinks = vcpus < vm.size.vcpus || memoryMib < vm.size.memoryMib;
  const past = vcpus > run.maxVcpus || memoryMib > run.maxMemoryMib;
  if (
    shrinks ||
    past ||
    (vcpus > vm.size.vcpus && !(can.hotResize && (can.hotVcpus ?? true))) ||
    (memoryMib > vm.size.memoryMib && !(can.hotResize && (can.hotMemory ?? true))) ||
    (diskGib > vm.size.diskGib && !can.hotDiskGrow)
  )
    throw new DriverError("must_be_off", `VM ${desired.vmId} must be off for this size`);
}

/** A file that exists in name alone, with a sum of its name. */
const heldImage = (file: string): HeldImage => ({
  file,
  virtualBytes: 2 ** 30,
  sha256: sumOfImage(file),
  changed: false,
});
const sumOfImage = (file: string): string => createHash("sha256").update(file).digest("hex");
