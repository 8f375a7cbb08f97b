import { link, open, rename, stat, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DesiredVm } from "#core/contracts/agent/desired.ts";
import type { BaseImage, MoveCalls } from "#host-agent/drivers/move-calls.ts";
import { exists, filesOf } from "#host-agent/drivers/kvm/files.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { type KvmTestHost, openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";
import { carry, qemuImg, writeTo } from "./moved-disks.ts";

/* One end of a move by itself, on real qemu-img: what is written, and what is taken. Two ends are `contract-moves.ts`'s. */

const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;
const GIB = 1024n ** 3n;
async function headOf(file: string): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(65_536), position: 0 });
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
const unsupported: unknown = expect.objectContaining({ code: "unsupported" });

describe.skipIf(!ground.available)(`moving a disk between KVM hosts, cold${why}`, () => {
  let host: KvmTestHost;
  let moves: MoveCalls;
  /** The image, as a VM's disk stands on it. */
  let base: BaseImage;
  beforeAll(async () => {
    const opened = await openKvmTestHost();
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
    if (host.driver.moves === null) throw new Error("KVM takes part in moves");
    moves = host.driver.moves;
    const vm = order();
    await host.driver.create(vm);
    const disk = await moves.describe(vm);
    if (disk.base === null) throw new Error("a new disk stands on its image");
    base = disk.base;
    await host.driver.destroy(vm);
  });
  afterAll(async () => {
    await host.close();
  });

  const order = (over: Partial<DesiredVm> = {}) => aDesiredVm({ image: host.image, ...over });
  const diskOf = (vm: DesiredVm) => filesOf(host.dirs, vm).disk;
  const fileFor = (vm: DesiredVm, name: string) => path.join(moves.folder, `${vm.vmId}.${name}`);

  /** A VM that is off, and whose disk differs from its image in every way: data, zeroes over data, and what was given back. */
  async function written(): Promise<DesiredVm> {
    const vm = order();
    await host.driver.create(vm);
    await writeTo(
      diskOf(vm),
      "write -P 5 1M 2M",
      "write -z 3M 1M",
      "discard 4M 1M",
      "write -P 6 1022M 2M",
      "write -P 0 8M 64k",
    );
    return vm;
  }
  /** The same VM, as it comes to this host again: what was here is gone, and the epoch is another. */
  async function comesBack(vm: DesiredVm): Promise<DesiredVm> {
    await host.driver.destroy(vm);
    return { ...vm, ownerEpoch: vm.ownerEpoch + 1 };
  }
  const same = async (a: string, formatOfA: string, b: string) =>
    await qemuImg("compare", "-f", formatOfA, "-F", "qcow2", a, b);

  test("an export without a base is the whole disk, byte for byte, and stands alone", async () => {
    const vm = await written();
    for (const format of ["qcow2", "vhdx"] as const) {
      const to = { path: fileFor(vm, format), format, base: null };
      await moves.exportDisk(vm, to);
      expect(await same(to.path, format, diskOf(vm))).toMatch(/Images are identical/);
      expect(await qemuImg("info", "-f", format, to.path)).not.toMatch(/backing file/);
      const { size, mode } = await stat(to.path);
      expect(BigInt(size)).toBeLessThan((await moves.describe(vm)).exportBytes);
      expect(mode & 0o077).toBe(0);
      expect(await exists(`${to.path}.part`)).toBe(false);
    }
    await host.driver.destroy(vm);
  });

  test("an export with a base is what differs from it, and the disk again over that image", async () => {
    const vm = await written();
    const to = { path: fileFor(vm, "difference"), format: "qcow2", base } as const;
    await moves.exportDisk(vm, to);
    expect(await qemuImg("info", "-f", "qcow2", to.path)).not.toMatch(/backing file/);
    const whole = { ...to, path: fileFor(vm, "whole"), base: null };
    await moves.exportDisk(vm, whole);
    expect((await stat(to.path)).size).toBeLessThan((await stat(whole.path)).size / 2);
    const original = fileFor(vm, "original");
    await carry(whole.path, original);

    const there = await comesBack(vm);
    await moves.importDisk(there, to);
    expect(await same(original, "qcow2", diskOf(there))).toMatch(/Images are identical/);
    expect((await stat(diskOf(there))).mode & 0o007).toBe(0);
    expect((await moves.describe(there)).base).toEqual(base);
    await host.driver.destroy(there);
  });

  test("a disk under somebody's snapshot goes whole, or as what differs from the image through all its layers", async () => {
    const vm = await written();
    const layer = path.join(host.dirs.diskDir, "somebodys.qcow2");
    const snapshot = ["snapshot-create-as", vm.vmId, "s1", "--disk-only", "--no-metadata"];
    await host.virsh(
      ...snapshot,
      "--diskspec",
      `vda,file=${layer}`,
      "--diskspec",
      "hdc,snapshot=no",
    );
    await writeTo(layer, "write -P 9 2M 1M", "write -z 1022M 1M", "write -z 0 1M");
    expect((await moves.describe(vm)).base).toBeNull();
    for (const sent of [null, base]) {
      const to = { path: fileFor(vm, "layers"), format: "qcow2", base: sent } as const;
      await moves.exportDisk(vm, to);
      if (sent !== null) {
        const image = path.join(host.dirs.imageDir, `${sent.file}.qcow2`);
        await qemuImg("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", image, to.path);
      }
      expect(await same(to.path, "qcow2", layer)).toMatch(/Images are identical/);
    }
    await host.driver.destroy(vm);
  });

  test("a VHDX becomes a disk of this host's, byte for byte", async () => {
    const vm = await written();
    const to = { path: fileFor(vm, "vhdx"), format: "vhdx", base: null } as const;
    await moves.exportDisk(vm, to);
    const kept = fileFor(vm, "kept.vhdx");
    await carry(to.path, kept);
    const there = await comesBack(vm);
    await moves.importDisk(there, to);
    expect(await same(kept, "vhdx", diskOf(there))).toMatch(/Images are identical/);
    expect(await exists(to.path)).toBe(false);
    await host.driver.start(there);
    await host.driver.destroy(there);
  });

  test("a VM that somebody else has started is not exported", async () => {
    const vm = await written();
    const to = { path: fileFor(vm, "busy"), format: "qcow2", base: null } as const;
    await host.virsh("start", vm.vmId, "--paused");
    await expect(moves.exportDisk(vm, to)).rejects.toMatchObject({ code: "must_be_off" });
    await host.driver.destroy(vm);
  });

  test("a VM with a second disk is not moved without it", async () => {
    const vm = await written();
    const second = path.join(host.dirs.diskDir, "second.qcow2");
    await qemuImg("create", "-q", "-f", "qcow2", second, "1M");
    await host.virsh("attach-disk", vm.vmId, second, "vdb", "--config", "--subdriver", "qcow2");
    await expect(moves.describe(vm)).rejects.toEqual(unsupported);
    const to = { path: fileFor(vm, "second"), format: "qcow2", base: null } as const;
    await expect(moves.exportDisk(vm, to)).rejects.toEqual(unsupported);
    await host.driver.destroy(vm);
  });

  /** By what it is, how a host that lies makes it. */
  const hostile: Record<string, (file: string) => Promise<unknown>> = {
    "over a backing file": async (file) =>
      qemuImg("create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow", file, "1G"),
    "over a backing file that is a program of QEMU's": async (file) => {
      const json = JSON.stringify({
        driver: "raw",
        file: { driver: "file", filename: "/etc/shadow" },
      });
      await qemuImg(
        "create",
        "-q",
        "-f",
        "qcow2",
        "-u",
        "-F",
        "raw",
        "-b",
        `json:${json}`,
        file,
        "1G",
      );
    },
    "with its data in another file": async (file) => {
      const data = `${file}.data`;
      await qemuImg(
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        `data_file=${data},data_file_raw=on`,
        file,
        "1G",
      );
    },
    "with a lock": async (file) => {
      const secret = ["--object", "secret,id=s,data=once"];
      // The old lock of qcow2: LUKS first times its own hashing, which fails at random where CPU clocks are coarse ("Unable to
      // get accurate CPU usage"). That it is refused by its number, LUKS' too, is received-disk.test.ts's.
      const lock = ["-o", "encrypt.format=aes,encrypt.key-secret=s"];
      await qemuImg("create", "-q", ...secret, "-f", "qcow2", ...lock, file, "1G");
    },
    "with snapshots in it": async (file) => {
      await qemuImg("create", "-q", "-f", "qcow2", file, "1G");
      await qemuImg("snapshot", "-c", "then", file);
    },
    larger: async (file) => qemuImg("create", "-q", "-f", "qcow2", file, "2G"),
    "larger by a sector": async (file) =>
      qemuImg("create", "-q", "-f", "qcow2", file, `${GIB + 512n}`),
    raw: async (file) => {
      await writeFile(file, "");
      await truncate(file, Number(GIB));
    },
    "a VHDX by another name": async (file) => qemuImg("create", "-q", "-f", "vhdx", file, "1G"),
    "cut off": async (file) => {
      await qemuImg("create", "-q", "-f", "qcow2", file, "1G");
      await writeTo(file, "write -P 1 0 4M");
      await truncate(file, 2 * 1024 ** 2);
    },
    empty: async (file) => writeFile(file, ""),
    text: async (file) => writeFile(file, "no disk at all\n".repeat(1000)),
  };

  test.each(Object.keys(hostile))(
    "a received disk that is %s is refused, and makes nothing",
    async (what) => {
      const vm = order();
      const file = fileFor(vm, "received");
      await carry(path.join(host.dirs.imageDir, `${host.imageName}.qcow2`), file);
      await writeFile(file, "");
      await hostile[what]?.(file);
      const before = await headOf(file);
      for (const from of [
        { path: file, format: "qcow2", base: null },
        { path: file, format: "qcow2", base },
      ] as const)
        await expect(moves.importDisk(vm, from)).rejects.toEqual(unsupported);
      expect((await host.driver.list()).some(({ vmId }) => vmId === vm.vmId)).toBe(false);
      expect(await exists(diskOf(vm))).toBe(false);
      expect(await headOf(file)).toEqual(before);
    },
  );

  test.each(["cut off", "no VHDX", "larger"])(
    "a received VHDX that is %s is refused",
    async (what) => {
      const vm = order();
      const file = fileFor(vm, "received.vhdx");
      const plain = fileFor(vm, "plain.qcow2");
      await carry(path.join(host.dirs.imageDir, `${host.imageName}.qcow2`), plain);
      await qemuImg("create", "-q", "-f", "qcow2", plain, what === "larger" ? "2G" : "1G");
      await writeTo(plain, "write -P 1 0 4M");
      const format = what === "no VHDX" ? "qcow2" : "vhdx";
      await qemuImg("convert", "-f", "qcow2", "-O", format, plain, file);
      if (what === "cut off") await truncate(file, (await stat(file)).size - 1024 ** 2);
      const from = { path: file, format: "vhdx", base: null } as const;
      await expect(moves.importDisk(vm, from)).rejects.toEqual(unsupported);
      expect(await exists(diskOf(vm))).toBe(false);
    },
  );

  test("a disk over an image that is not here is refused before the file is touched", async () => {
    const vm = await written();
    const to = { path: fileFor(vm, "other"), format: "qcow2", base } as const;
    await moves.exportDisk(vm, to);
    const there = await comesBack(vm);
    for (const other of [
      { ...base, sha256: "0".repeat(64) },
      { ...base, file: "no-such-image" },
    ])
      await expect(moves.importDisk(there, { ...to, base: other })).rejects.toMatchObject({
        code: "image_missing",
      });
    await moves.importDisk(there, to);
    await host.driver.destroy(there);
  });

  test("an import that was cut off between its steps is ended by the same call, and leaves nothing when it is given up", async () => {
    const vm = await written();
    const to = { path: fileFor(vm, "cut"), format: "qcow2", base } as const;
    await moves.exportDisk(vm, to);
    const there = await comesBack(vm);
    const taken = path.join(moves.folder, `${vm.vmId}.e2.taken.qcow2`);
    /** As a kill leaves it after each of its steps. */
    const steps = {
      judged: async () => rename(to.path, taken),
      whole: async () => link(diskOf(there), taken),
      placed: async () => {
        await link(diskOf(there), taken);
        await host.virsh("undefine", there.vmId);
      },
    };
    await steps.judged();
    await moves.importDisk(there, to);
    for (const step of [steps.placed, steps.whole]) {
      await step();
      await moves.importDisk(there, to);
      expect(await exists(taken)).toBe(false);
      expect(await host.driver.list()).toContainEqual(
        expect.objectContaining({ vmId: vm.vmId, ownerEpoch: 2, complete: true }),
      );
    }
    await host.driver.start(there);
    await host.driver.destroy(there);

    const later = { ...there, ownerEpoch: 3 };
    const left = path.join(moves.folder, `${vm.vmId}.e3.taken.qcow2`);
    await carry(path.join(host.dirs.imageDir, `${host.imageName}.qcow2`), left);
    await host.driver.destroy(later);
    expect(await exists(left)).toBe(false);
  });

  test("a VM that came whole, on no image, is adopted and brought back from the trash like any other", async () => {
    const vm = await written();
    const to = { path: fileFor(vm, "alone"), format: "qcow2", base: null } as const;
    await moves.exportDisk(vm, to);
    const there = await comesBack(vm);
    await moves.importDisk(there, to);
    await host.virsh("undefine", there.vmId);
    await host.driver.adopt(there);
    await host.driver.destroy(there);
    await host.driver.restore(there);
    expect(await host.driver.list()).toContainEqual(
      expect.objectContaining({ vmId: vm.vmId, ownerEpoch: 2, complete: true, power: "off" }),
    );
    await host.driver.destroy(there);
  });
});
