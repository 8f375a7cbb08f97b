import { execFile } from "node:child_process";
import { mkdir, readdir, stat, truncate } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import { createKvmDriver } from "#host-agent/drivers/kvm/driver.ts";
import { filesOf } from "#host-agent/drivers/kvm/files.ts";
import { createVirsh } from "#host-agent/drivers/kvm/libvirt.ts";
import { ProgramFailed } from "#host-agent/drivers/kvm/run-program.ts";
import { SAVED_STATE_PATIENCE_MS } from "#host-agent/drivers/findings.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { createVirtualClock } from "#test/drivers/virtual-clock.ts";
import { type KvmTestHost, openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

/* 4b B9: hosts on which others had their hands: saved memories, snapshots, rules that are gone. */

const run = promisify(execFile);
const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;

describe.skipIf(!ground.available)(`4b B9: a KVM host that changed hands${why}`, () => {
  let host: KvmTestHost;
  beforeAll(async () => {
    const opened = await openKvmTestHost({ network: "isolated" });
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
  });
  afterAll(async () => {
    await host.close();
  });

  let lastAddress = 100;
  /** A VM with an address of the host's network. */
  const order = (over: Partial<DesiredVm> = {}): DesiredVm => {
    const gateway = host.gateway?.address ?? "";
    lastAddress += 1;
    const mac = `52:54:00:18:01:${lastAddress.toString(16).padStart(2, "0")}`;
    const address = gateway.replace(/\.1$/, `.${lastAddress}`);
    const nic = { mac, ipv4: { address, prefix: 24, gateway }, vlan: null, bandwidthMbit: null };
    return aDesiredVm({ image: host.image, nics: [nic], ...over });
  };
  const running = async (): Promise<DesiredVm> => {
    const vm = order();
    await host.driver.create(vm);
    await host.driver.start(vm);
    return vm;
  };
  const powerOf = async ({ vmId }: DesiredVm) =>
    (await host.driver.list()).find((vm) => vm.vmId === vmId)?.power;
  const savedState = (vm: DesiredVm) => `/var/lib/libvirt/qemu/save/berth-${vm.vmId}.save`;

  describe("a saved memory", () => {
    test("is restored, and nothing is said", async () => {
      const vm = await running();
      await host.virsh("managedsave", vm.vmId);
      await host.driver.start(vm);
      expect(await host.virsh("domstate", vm.vmId, "--reason")).toContain("restored");
      expect(host.driver.takeFindings()).toEqual([]);
      await host.driver.destroy(vm);
    });

    test.each([
      ["whose definition is spoiled", ["dd", "bs=1", "seek=300", "count=200", "conv=notrunc"]],
      ["that is cut short", null],
    ] as const)("%s is dropped: the VM boots, and staff are told", async (_, spoil) => {
      const vm = await running();
      await host.virsh("managedsave", vm.vmId);
      const file = savedState(vm);
      if (spoil === null) await truncate(file, 200_000);
      else await run(spoil[0], ["if=/dev/urandom", `of=${file}`, ...spoil.slice(1)]);
      await host.driver.start(vm);
      expect(await powerOf(vm)).toBe("running");
      expect(await host.virsh("domstate", vm.vmId, "--reason")).toContain("booted");
      expect(host.driver.takeFindings()).toMatchObject([
        { vmId: vm.vmId, code: "saved_state_dropped" },
      ]);
      expect(host.driver.takeFindings()).toEqual([]);
      await host.driver.destroy(vm);
    });

    test("that is whole is kept while its host lacks something, and dropped when that lasts", async () => {
      const vm = await running();
      await host.virsh("managedsave", vm.vmId);
      const clock = createVirtualClock();
      const libvirt = createVirsh(host.options.uri);
      let refusing = true;
      const bare = {
        ...libvirt,
        run: async (args: readonly string[], call?: Parameters<typeof libvirt.run>[1]) => {
          const starts = args[0] === "start";
          const saved = (await host.virsh("dominfo", vm.vmId)).match(/Managed save:\s+yes/);
          if (starts && refusing && saved) throw new ProgramFailed("virsh", "no bridge br0", {});
          return libvirt.run(args, call);
        },
      };
      const driver = createKvmDriver({ ...host.options, clock, libvirt: bare });
      await expect(driver.start(vm)).rejects.toThrow(/no bridge/);
      await expect(driver.start(vm)).rejects.toThrow(/no bridge/);
      await stat(savedState(vm));
      await clock.advance(SAVED_STATE_PATIENCE_MS);
      await driver.start(vm);
      expect(await powerOf(vm)).toBe("running");
      expect(driver.takeFindings()).toMatchObject([{ code: "saved_state_dropped" }]);
      refusing = false;
      await driver.close();
      await host.driver.destroy(vm);
    });
  });

  describe("layers of foreign snapshots", () => {
    const snapshot = (vm: DesiredVm, name: string, file: string) =>
      host.virsh(
        "snapshot-create-as",
        vm.vmId,
        `--name=${name}`,
        "--disk-only",
        "--atomic",
        "--diskspec",
        `vda,file=${file}`,
        "--diskspec",
        "hdc,snapshot=no",
      );
    const left = async () => (await readdir(host.dirs.diskDir)).filter((n) => n !== "images.json");

    test("all go with a delete, wherever in the chain; images and others' files stay", async () => {
      const other = order();
      await host.driver.create(other);
      const vm = await running();
      const at = (name: string) => path.join(host.dirs.diskDir, name);
      await mkdir(at("backups"), { mode: 0o711, recursive: true });
      await snapshot(vm, "before-update", at("before.qcow2"));
      await snapshot(vm, "--second one", at("backups/disk.img"));
      await snapshot(vm, "third", at("third.qcow2"));
      // A layer that was left over when somebody went back: no definition names it.
      const orphan = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", at("before.qcow2")];
      await run("qemu-img", [...orphan, at("orphan.qcow2")]);
      // Nobody's, over nothing of the VM's.
      await run("qemu-img", ["create", "-q", "-f", "qcow2", at("unrelated.qcow2"), "1M"]);
      const image = path.join(host.dirs.imageDir, `${host.image.file}.qcow2`);
      const before = await stat(image);

      await host.driver.destroy(vm);
      expect((await left()).toSorted()).toEqual(
        [path.basename(filesOf(host.dirs, other).disk), "backups", "unrelated.qcow2"].toSorted(),
      );
      expect(await readdir(at("backups"))).toEqual([]);
      expect(await stat(image)).toMatchObject({ ino: before.ino, mtimeMs: before.mtimeMs });
      expect(host.driver.takeFindings()).toEqual([]);
      const folders = await readdir(host.dirs.trashDir);
      const trash = folders.find((name) => name.includes(vm.vmId)) ?? "none";
      expect(await readdir(path.join(host.dirs.trashDir, trash))).toEqual(
        expect.arrayContaining(["before.qcow2", "disk.img", "third.qcow2", "orphan.qcow2"]),
      );
      await host.driver.destroy(other);
      await run("rm", ["-r", at("backups"), at("unrelated.qcow2")]);
    });

    test("outside the agent's folders are left, and staff are told where", async () => {
      const vm = await running();
      const outside = path.join(host.dirs.seedDir, "../elsewhere.qcow2");
      await snapshot(vm, "outside", path.normalize(outside));
      await host.driver.destroy(vm);
      await stat(outside);
      expect(host.driver.takeFindings()).toMatchObject([
        { vmId: vm.vmId, code: "layers_left", detail: expect.stringContaining("elsewhere.qcow2") },
      ]);
    });

    test("of which somebody made a machine stay with that one", async () => {
      const vm = await running();
      const layer = path.join(host.dirs.diskDir, "shared.qcow2");
      await snapshot(vm, "shared", layer);
      const foreign = crypto.randomUUID();
      await host.plantForeign(foreign);
      await host.virsh("attach-disk", foreign, layer, "vda", "--subdriver", "qcow2", "--config");
      await host.driver.destroy(vm);
      expect(await left()).toEqual(["shared.qcow2"]);
      await run("rm", [layer]);
    });

    test("that are gone make the VM no whole one, until somebody brings them back", async () => {
      const vm = await running();
      const layer = path.join(host.dirs.diskDir, "gone.qcow2");
      await snapshot(vm, "gone", layer);
      await host.driver.stop(vm, "firm");
      const look = async () => (await host.driver.list()).find((one) => one.vmId === vm.vmId);
      await run("mv", [layer, `${layer}.away`]);
      expect(await look()).toMatchObject({ complete: false, power: "off" });
      await run("mv", [`${layer}.away`, layer]);
      expect(await look()).toMatchObject({ complete: true });
      await host.driver.destroy(vm);
    });

    test("are kept by a resize: the guest's data lie in them", async () => {
      const vm = await running();
      const layer = path.join(host.dirs.diskDir, "kept.qcow2");
      await snapshot(vm, "kept", layer);
      await host.driver.stop(vm, "firm");
      const size = { ...vm.size, vcpus: 2 };
      await host.driver.resize({ ...vm, size });
      expect(await host.virsh("dumpxml", vm.vmId)).toContain(`file='${layer}'`);
      await expect(
        host.driver.resize({ ...vm, size: { ...size, diskGib: 5 } }),
      ).rejects.toMatchObject({ code: "unsupported" });
      await host.driver.destroy(vm);
      expect(await left()).toEqual([]);
    });
  });

  describe("what keeps a guest from foreign addresses", () => {
    const rules = async () => (await run("ebtables", ["-t", "nat", "-L", "--Lmac2"])).stdout;
    const device = async (vm: DesiredVm) =>
      /(vnet\d+)/.exec(await host.virsh("domiflist", vm.vmId))?.[1] ?? "none";
    const card = async (vm: DesiredVm) =>
      /<interface[\s\S]*?<\/interface>/.exec(await host.virsh("dumpxml", vm.vmId))?.[0] ?? "";
    const ruledTo = async (vm: DesiredVm) => {
      const chain = new RegExp(`I-${await device(vm)}-ipv4-ip, [^]*?\n\n`).exec(await rules())?.[0];
      return chain?.includes(`--ip-src ${vm.nics[0]?.ipv4.address} `) && chain.includes("-j DROP");
    };

    const TAKEN: readonly [string, (vm: DesiredVm) => Promise<unknown>][] = [
      ["the rules in the kernel", async (vm) => dropChain(`I-${await device(vm)}-ipv4-ip`)],
      [
        "the way into the rules",
        async (vm) => {
          const dev = await device(vm);
          const rule = ["PREROUTING", "-i", dev, "-j", `libvirt-I-${dev}`];
          await run("ebtables", ["-t", "nat", "-D", ...rule]);
        },
      ],
      ["the binding", async (vm) => host.virsh("nwfilter-binding-delete", await device(vm))],
      [
        "the filter in the definition",
        async (vm) => {
          const bare = (await card(vm)).replace(/<filterref[\s\S]*<\/filterref>/, "");
          const file = path.join(host.dirs.imageDir, "card.xml");
          await run("sh", ["-c", 'printf %s "$1" > "$2"', "sh", bare, file]);
          await host.virsh("update-device", vm.vmId, file, "--live", "--config");
        },
      ],
    ];
    const dropChain = (chain: string) => run("ebtables", ["-t", "nat", "-F", chain]);

    test.each(TAKEN)("is put back when %s was taken away, and told once", async (_, take) => {
      const [vm, bystander] = [await running(), await running()];
      await host.driver.guard([vm, bystander]);
      expect(host.driver.takeFindings()).toEqual([]);
      await take(vm);
      await host.driver.guard([vm, bystander]);
      expect(await ruledTo(vm)).toBe(true);
      expect(await card(vm)).toContain("clean-traffic");
      expect(host.driver.takeFindings()).toMatchObject([
        { vmId: vm.vmId, code: "spoof_guard_restored" },
      ]);
      await host.driver.guard([vm, bystander]);
      expect(host.driver.takeFindings()).toEqual([]);
      await host.driver.destroy(vm);
      await host.driver.destroy(bystander);
    });

    test("is put back into the definition of a VM that is off", async () => {
      const vm = await running();
      await host.driver.stop(vm, "firm");
      const bare = (await card(vm)).replace(/<filterref[\s\S]*<\/filterref>/, "");
      const file = path.join(host.dirs.imageDir, "card.xml");
      await run("sh", ["-c", 'printf %s "$1" > "$2"', "sh", bare, file]);
      await host.virsh("update-device", vm.vmId, file, "--config");
      await host.driver.guard([vm]);
      expect(await card(vm)).toContain(vm.nics[0]?.ipv4.address);
      await host.driver.destroy(vm);
    });

    test("is not touched on a VM of another owner epoch", async () => {
      const vm = await running();
      await host.virsh("nwfilter-binding-delete", await device(vm));
      host.driver.takeFindings();
      await host.driver.guard([{ ...vm, ownerEpoch: vm.ownerEpoch + 1 }]);
      expect(await ruledTo(vm)).not.toBe(true);
      expect(host.driver.takeFindings()).toEqual([]);
      await host.driver.destroy(vm);
    });
  });
});
