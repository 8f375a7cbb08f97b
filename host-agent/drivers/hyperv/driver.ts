import { access } from "node:fs/promises";
import path from "node:path";
import type { z } from "zod";
import { HostImage, type DesiredVm } from "#core/contracts/agent/desired.ts";
import type { ObservedVm } from "#core/contracts/agent/report.ts";
import { limitsOf, type PlatformLimits } from "#core/hosts/limits.ts";
import { refuseBeyondLimits } from "../beyond-limits.ts";
import { CAPABILITIES, missingOf } from "../capabilities.ts";
import { DriverError, type VmDriver, type VmRef } from "../driver.ts";
import {
  Checkpoints,
  CmdletCalls,
  Counters,
  Created,
  Facts,
  Guards,
  Inventory,
  Limits,
  Started,
  toLimits,
  toObserved,
  Unclaimed,
  whyUnguarded,
  type Checkpoint,
  type CmdletCall,
} from "./answers.ts";
import { fileStore } from "#host-agent/state/state-store.ts";
import { createFindings, SAVED_STATE_PATIENCE_MS } from "../findings.ts";
import { createImageShelf, type ImageFile } from "../image-shelf.ts";
import { createDiskSums } from "./disk-sums.ts";
import { createSeenLimits } from "./limits-seen.ts";
import { TIMEOUTS, workerOptions, type HypervOptions } from "./options.ts";
import { createHypervMoves } from "./moves.ts";
import { createWorker, type Worker } from "./powershell.ts";
import { stageSeed } from "./seed-image.ts";
import { emptyTrash, trashStamp } from "./trash.ts";
import { hardware, reference, wholeHardware } from "./vm-request.ts";

const BEFORE_2016 = "its Windows is older than Windows Server 2016";
const DYNAMIC_MEMORY = "its VMs have dynamic memory, whose bounds change with a restart";
const isMemoryStatic = ({ dynamicMemoryMinimumPercent: percent }: HypervOptions): boolean =>
  percent === undefined || percent === null;

/** The Hyper-V driver, with what only it has so far. */
export interface HypervDriver extends VmDriver {
  /** Makes a checkpoint named by this id, running or not (production where Windows can). Once, whatever repeats. */
  checkpoint(vm: VmRef, checkpointId: string, signal?: AbortSignal): Promise<void>;
  /**
   * Brings the VM's disk back to the checkpoint, and leaves it off. What was written since is lost. Its hardware (CPU,
   * memory, NICs, limits) is what `vm` says now, and not what it was then.
   */
  revert(vm: DesiredVm, checkpointId: string, signal?: AbortSignal): Promise<void>;
  deleteCheckpoint(vm: VmRef, checkpointId: string, signal?: AbortSignal): Promise<void>;
  checkpoints(vm: VmRef, signal?: AbortSignal): Promise<readonly Checkpoint[]>;
  /** Every Hyper-V cmdlet that the script calls, and what of it this host's module lacks. */
  cmdletCalls(signal?: AbortSignal): Promise<readonly CmdletCall[]>;
}

/**
 * Hyper-V behind the driver contract, through two PowerShell workers: one for looks, which must stay fast, and one
 * for changes, which may take minutes. Written from Microsoft's documentation and run against a stand-in module
 * under PowerShell 7; it has not yet run on Windows.
 */
export function createHypervDriver(options: HypervOptions): HypervDriver {
  const limits = { ...TIMEOUTS, ...options.timeouts };
  const looks = createWorker(workerOptions(options));
  const jobs = createWorker(workerOptions(options));
  const diskSums = createDiskSums();

  const installation = options.installation ?? (() => null);
  const look = async <S extends z.ZodType>(op: string, schema: S, signal?: AbortSignal) => {
    try {
      const fields = { installation: installation() };
      return schema.parse(await looks.call(op, fields, { timeoutMs: limits.readMs, signal }));
    } catch (error) {
      if (signal?.aborted || (error instanceof DriverError && error.code === "timed_out"))
        throw error;
      // Whatever failed, this was no full look: nothing may be concluded from what is missing in it.
      const detail = error instanceof Error ? error.message : String(error);
      throw new DriverError("hypervisor_unavailable", detail, { cause: error });
    }
  };
  const change = async (
    op: string,
    vm: VmRef,
    fields: object,
    signal?: AbortSignal,
    timeoutMs = limits.jobMs,
  ) => {
    const request = { ...fields, ...reference(vm), installation: installation() };
    try {
      return await jobs.call(op, request, { timeoutMs, signal });
    } finally {
      // Whatever came of it.
      if (CHANGES_LIMITS.has(op)) seenLimits.forget();
    }
  };
  /** For copies of disks, so that nothing waits behind one: who finds none of them idle begins another. */
  const copiers: Worker[] = [];
  const idle: Worker[] = [];
  const copy = async (op: string, vm: VmRef, fields: object, signal?: AbortSignal) => {
    const request = { ...fields, ...reference(vm), installation: installation() };
    const found = idle.pop();
    const worker = found ?? createWorker(workerOptions(options));
    if (found === undefined) copiers.push(worker);
    try {
      return await worker.call(op, request, { timeoutMs: limits.copyMs, signal });
    } finally {
      idle.push(worker);
    }
  };
  const changeCheckpoint = async (
    op: string,
    vm: VmRef,
    fields: { checkpointId: string; most?: number },
    signal?: AbortSignal,
  ) => {
    await change(op, vm, fields, signal, limits.checkpointMs);
  };

  /** Of this host and its version of Windows, which stay as long as the driver runs. */
  let known: PlatformLimits | null = null;
  const platformLimits = async (signal?: AbortSignal) => {
    if (known === null) {
      const { version, cpuThreads } = await look("facts", Facts, signal);
      known = limitsOf({ hypervisor: "hyperv", hypervisorVersion: version, cpuThreads });
    }
    return known;
  };

  const findings = createFindings(options.log);
  /** By VM, when its saved memory first failed to be restored. */
  const restoreFailures = new Map<string, number>();
  /** By VM, the file of its disk that its last start missed, or that did not open. */
  const brokenLayers = new Map<string, { file: string; wasThere: boolean; at: number }>();
  /**
   * A VM that lacks a layer of its disk is not whole: no start helps it until somebody brings the file back. One that is
   * there and does not open is tried again now and then.
   */
  async function withItsLayers(vm: ObservedVm): Promise<ObservedVm> {
    const broken = brokenLayers.get(vm.vmId);
    if (broken === undefined) return vm;
    const isOver = broken.wasThere
      ? options.clock.now().getTime() - broken.at >= LAYER_RETRY_MS
      : await isThere(broken.file);
    if (!isOver) return { ...vm, complete: false };
    brokenLayers.delete(vm.vmId);
    return vm;
  }

  const seenLimits = createSeenLimits({
    clock: options.clock,
    ask: async (signal) =>
      new Map((await look("limits", Limits, signal)).vms.map((vm) => [vm.vmId, toLimits(vm)])),
  });

  const shelf = createImageShelf({
    store: fileStore(options.root, { durable: true }),
    log: options.log,
  });
  const isUsable = ({ file, virtualBytes }: { file: string; virtualBytes: number }) =>
    HostImage.shape.file.safeParse(file).success && virtualBytes > 0;
  const imageAt = ({ file, virtualBytes }: { file: string; virtualBytes: number }): ImageFile => ({
    file,
    path: path.join(options.images, `${file}.vhdx`),
    virtualBytes,
  });
  /** The script says what is missing, or no name; here, that it is the file that it was. */
  const confirmImage = async (file: string) => {
    if (!HostImage.shape.file.safeParse(file).success) return;
    const image = imageAt({ file, virtualBytes: 1 });
    if (await isThere(image.path)) await shelf.confirm(image);
  };

  const sumOf = (file: string) => shelf.sumOf(imageAt({ file, virtualBytes: 1 }));

  return {
    imageFolder: { path: options.images, ending: ".vhdx", sumOf },
    moves: createHypervMoves({
      folder: path.join(options.root, "moves"),
      change,
      copy,
      refuse: async (vm, signal) => refuseBeyondLimits(vm.size, await platformLimits(signal)),
      sumOf,
      movesLive: options.liveMoves ?? false,
      clock: options.clock,
    }),
    async facts(signal) {
      const facts = await look("facts", Facts, signal);
      if (!facts.switchPresent)
        throw new DriverError("hypervisor_unavailable", `no virtual switch "${options.switch}"`);
      // Before 2016 there is no template of signatures but Windows' own; a checkpoint of a running VM is none that its guest knows of, and reverting is no clean boot; and
      // nothing but its disk grows while it runs.
      const whyNoMemory = facts.modern ? DYNAMIC_MEMORY : BEFORE_2016;
      const growsMemory = facts.modern && isMemoryStatic(options);
      const capabilities = {
        ...CAPABILITIES.hyperv,
        liveSnapshot: facts.modern,
        hotResize: growsMemory,
        hotMemory: growsMemory,
        secureBootUefiCa: facts.modern,
        moveLive: options.liveMoves === true && facts.migrates,
      };
      return {
        hypervisor: "hyperv",
        hypervisorVersion: facts.version.slice(0, 200),
        // Hyper-V is a part of its Windows.
        osVersion: facts.version.slice(0, 200),
        accelerator: options.accelerator ?? "hardware",
        capabilities,
        missing: missingOf("hyperv", capabilities, {
          liveSnapshot: BEFORE_2016,
          hotResize: whyNoMemory,
          hotMemory: whyNoMemory,
          secureBootUefiCa: BEFORE_2016,
        }),
        cpuThreads: facts.cpuThreads,
        memoryMib: facts.memoryMib,
        diskGib: facts.diskGib,
        images: await shelf.describe(facts.images.filter(isUsable).map(imageAt)),
        agentVersion: options.agentVersion,
      };
    },
    async list(signal) {
      const vms = (await look("list", Inventory, signal)).vms.map(toObserved);
      return Promise.all((await seenLimits.addTo(vms, signal)).map(withItsLayers));
    },

    async create(vm, signal, secrets) {
      refuseBeyondLimits(vm.size, await platformLimits(signal));
      await confirmImage(vm.image.file);
      const request = { ...wholeHardware(vm), image: vm.image.file };
      const ask = async (seeded: boolean) =>
        Created.parse(await change("create", vm, { ...request, seeded }, signal)).needsSeed;
      if (!(await ask(false))) return;
      await stageSeed(path.join(options.root, "staging"), vm, options.clock, secrets, signal);
      await ask(true);
    },
    async adopt() {
      throw new DriverError("unsupported", "this host cannot define a VM again on its disk");
    },
    async restore() {
      throw new DriverError("unsupported", "this host cannot bring a disk back from its trash");
    },

    async start(vm, signal) {
      const { vmId } = vm;
      const start = async (dropSavedState: boolean) =>
        Started.parse(await change("start", vm, { dropSavedState }, signal));
      let outcome = await start(false);
      const why = outcome.restoreFailed;
      if (why !== null) {
        const now = options.clock.now().getTime();
        const since = restoreFailures.get(vmId) ?? now;
        restoreFailures.set(vmId, since);
        if (now - since < SAVED_STATE_PATIENCE_MS)
          throw new DriverError("driver_failed", `its saved memory is not restored: ${why}`);
        outcome = await start(true);
        const detail = `its saved memory could not be restored and was dropped: ${why}`;
        findings.add({ vmId, code: "saved_state_dropped", detail });
      }
      restoreFailures.delete(vmId);
      const file = outcome.missingLayer;
      if (file === null) return;
      const wasThere = await isThere(file);
      const detail = wasThere
        ? `a file of its disk does not open, or one under it is gone: ${file}`
        : `a file of its disk is gone: ${file}`;
      brokenLayers.set(vmId, { file, wasThere, at: options.clock.now().getTime() });
      findings.add({ vmId, code: "disk_layer_missing", detail });
      throw new DriverError("driver_failed", detail);
    },
    async stop(vm, mode, signal) {
      await change("stop", vm, { mode }, signal);
    },
    async once(vm, action, signal) {
      await change(action, vm, {}, signal);
    },
    async resize(vm, signal) {
      refuseBeyondLimits(vm.size, await platformLimits(signal));
      await change("resize", vm, hardware(vm), signal);
    },
    async destroy(vm, signal) {
      await change("destroy", vm, { at: trashStamp(options.clock.now()) }, signal);
    },

    async counters(signal) {
      const { vms } = await look("counters", Counters, signal);
      return diskSums.add(vms).map(({ cpuTicks, ...vm }) => ({ ...vm, cpuNs: cpuTicks * 100n }));
    },
    emptyTrash: (before, signal) => emptyTrash(path.join(options.root, "trash"), before, signal),

    async guard(vms, signal) {
      const seen = new Map(
        (await look("guards", Guards, signal)).vms.map((vm) => [`${vm.vmId}.${vm.epoch}`, vm.nics]),
      );
      for (const vm of vms) {
        const adapters = seen.get(`${vm.vmId}.${vm.ownerEpoch}`) ?? [];
        const amiss = vm.nics.flatMap((nic, n) => {
          const adapter = adapters.find(({ name }) => name === `nic${n}`);
          const why = adapter && whyUnguarded(adapter, nic.ipv4.address);
          return why ? [`nic${n}: ${why}`] : [];
        });
        if (amiss.length === 0) continue;
        await change("guard", vm, { nics: hardware(vm).nics }, signal);
        const detail = `${amiss.join("; ")}; put back`;
        findings.add({ vmId: vm.vmId, code: "spoof_guard_restored", detail });
      }
    },
    async claim(vms, signal) {
      if (installation() === null) return 0;
      const { vms: bare } = await look("unclaimed", Unclaimed, signal);
      const epochs = new Map(bare.map((vm) => [vm.vmId, vm.epoch]));
      const wanted = vms.filter((vm) => epochs.get(vm.vmId) === vm.ownerEpoch);
      for (const vm of wanted) {
        await change("claim", vm, {}, signal);
        options.log.info("vm_claimed", { vm_id: vm.vmId });
      }
      return wanted.length;
    },
    takeFindings: () => findings.take(),
    async eraseSeed(vm, signal) {
      await change("erase-seed", vm, {}, signal);
    },
    async checkpoint(vm, checkpointId, signal) {
      const most = (await platformLimits(signal)).vmCheckpoints ?? 1;
      await changeCheckpoint("checkpoint", vm, { checkpointId, most }, signal);
    },
    async revert(vm, checkpointId, signal) {
      refuseBeyondLimits(vm.size, await platformLimits(signal));
      await changeCheckpoint("revert", vm, { ...hardware(vm), checkpointId }, signal);
    },
    deleteCheckpoint: (vm, checkpointId, signal) =>
      changeCheckpoint("delete-checkpoint", vm, { checkpointId }, signal),
    async checkpoints(vm, signal) {
      return Checkpoints.parse(await change("checkpoints", vm, {}, signal)).checkpoints;
    },
    async cmdletCalls(signal) {
      return (await look("calls", CmdletCalls, signal)).calls;
    },
    async close() {
      await Promise.all([looks, jobs, ...copiers].map((worker) => worker.close()));
    },
  };
}

const CHANGES_LIMITS: ReadonlySet<string> = new Set(["create", "import", "resize", "revert"]);

const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

const LAYER_RETRY_MS = 15 * 60_000;
