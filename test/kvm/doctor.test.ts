import { chmod, stat } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EXAMINERS } from "#host-agent/doctor/examine-host.ts";
import { kernelHasSfq } from "#host-agent/drivers/kvm/host.ts";
import { aDesiredVm, randomIds } from "#test/drivers/builders.ts";
import { openKvmTestHost, type KvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

const ground = await openGround();
const skipped = ground.available ? "" : ` (skipped: ${ground.reason})`;

describe.skipIf(!ground.available)(`item 4: a doctor on real libvirt${skipped}`, () => {
  let host: KvmTestHost;
  beforeEach(async () => {
    const opened = await openKvmTestHost({ network: "isolated" });
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
  });
  afterEach(() => host.close());

  const networkName = () =>
    host.options.network.kind === "network" ? host.options.network.name : "none";
  const config = (over: Record<string, unknown> = {}) => ({
    ...host.dirs,
    uri: host.options.uri,
    network: host.options.network,
    emulationAllowed: true,
    ...over,
  });
  const ports = () => {
    const { clock, log, agentVersion } = host.options;
    return { clock, log, agentVersion, ids: randomIds, root: "/" };
  };
  const wrong = async (over: Record<string, unknown> = {}) =>
    (await EXAMINERS.kvm.examine(config(over), null, ports()))
      .filter(({ ok }) => !ok)
      .map(({ name }) => name);
  /** A cloud kernel has no sch_sfq, which the doctor then must say; else this host is good. */
  const ofThisMachine = async () => ((await kernelHasSfq()) ? [] : ["bandwidth"]);

  test("finds nothing else than what this machine's kernel lacks, also while a VM runs", async () => {
    expect(await wrong()).toEqual(await ofThisMachine());
    const vm = aDesiredVm({ image: host.image, nics: aDesiredVm().nics.map(unlimited) });
    await host.driver.create(vm);
    await host.driver.start(vm);
    expect(await wrong()).toEqual(await ofThisMachine());
  });

  test("finds a network that is not there, and a libvirt that is not", async () => {
    const elsewhere = { network: { kind: "network", name: `${networkName()}-gone` } };
    expect(await wrong(elsewhere)).toEqual(["network", ...(await ofThisMachine())]);
    const nowhere = await wrong({ uri: "qemu:///system?socket=/run/nobody-listens-here" });
    for (const check of ["libvirt", "libvirt-version", "network", "spoof-filter", "confinement"])
      expect(nowhere).toContain(check);
  });

  test("item 7: a running VM's disk that everybody reads is found by the doctor, and mended by the driver", async () => {
    const vm = aDesiredVm({ image: host.image, nics: aDesiredVm().nics.map(unlimited) });
    await host.driver.create(vm);
    await host.driver.start(vm);
    const stem = path.join(host.dirs.diskDir, `${vm.vmId}.e${vm.ownerEpoch}`);
    const disk = `${stem}.qcow2`;
    const console_ = path.join(host.dirs.consoleDir, `${vm.vmId}.e${vm.ownerEpoch}.log`);
    const seed = path.join(host.dirs.seedDir, `${vm.vmId}.e${vm.ownerEpoch}.iso`);
    const forOthers = async (file: string) => (await stat(file)).mode & 0o007;
    expect(await Promise.all([disk, console_, seed].map(forOthers))).toEqual([0, 0, 0]);

    await chmod(disk, 0o644);
    expect(await wrong()).toContain("file-rights");
    await host.driver.facts();
    expect((await stat(disk)).mode & 0o777).toBe(0o640);
    expect(await wrong()).toEqual(await ofThisMachine());
    await host.driver.stop(vm, "firm");
    await host.driver.start(vm);
    expect((await stat(disk)).mode & 0o007).toBe(0);
  });
});

const unlimited = <T extends { bandwidthMbit: number | null }>(nic: T): T => ({
  ...nic,
  bandwidthMbit: null,
});
