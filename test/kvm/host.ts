import { execFile } from "node:child_process";
import { randomBytes, randomInt, randomUUID } from "node:crypto";
import { chmod, constants, copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { create } from "xmlbuilder2";
import type { HostImage } from "#core/contracts/agent/desired.ts";
import type { Clock, Log } from "#core/ports.ts";
import type { VmDriver } from "#host-agent/drivers/driver.ts";
import { createKvmDriver } from "#host-agent/drivers/kvm/driver.ts";
import type { Folders } from "#host-agent/drivers/kvm/files.ts";
import type { KvmOptions } from "#host-agent/drivers/kvm/host.ts";
import { openGround, URI } from "./libvirt-daemon.ts";
import type { LibvirtHost } from "./two-hosts.ts";

const run = promisify(execFile);

export type KvmTestHost = {
  available: true;
  driver: VmDriver;
  /** What `driver` was made with, for whoever makes an agent of it. */
  options: KvmOptions;
  image: HostImage;
  imageName: string;
  dirs: Folders;
  /** The isolated network's own address and prefix; null on QEMU's user network. */
  gateway: { address: string; prefix: number } | null;
  /** Another driver on the same host, as after a restart of the agent. */
  reopen: () => Promise<VmDriver>;
  /** Another driver on the same host and folders, of the Berth with this id. */
  openFor: (installation: string | null) => Promise<VmDriver>;
  /** Defines a domain under this id that is not Berth's. */
  plantForeign: (vmId: string) => Promise<void>;
  virsh: (...args: string[]) => Promise<string>;
  /** Ends every VM that lives in this host's folders, and removes all that was made. */
  close: () => Promise<void>;
};

/**
 * A KVM host of one's own for tests, benchmarks and demonstrations: real libvirt and QEMU, fresh folders, and the
 * test guest as its one image. `isolated` makes a bridge of its own that leads nowhere but to this machine;
 * `user` touches no network of the machine at all.
 */
export async function openKvmTestHost({
  network = "user",
  libvirt,
}: {
  network?: "user" | "isolated";
  /** A host of its own beside the machine's; it is closed with this one. Networks are the machine's only. */
  libvirt?: LibvirtHost;
} = {}): Promise<KvmTestHost | { available: false; reason: string }> {
  const ground = await openGround();
  if (!ground.available) return ground;
  const uri = libvirt?.uri ?? URI;
  const virsh = (...args: string[]) => virshAt(uri, args);
  const root = await mkdtemp(path.join(tmpdir(), "berth-kvm-"));
  const dirs = await makeFolders(root);
  const imageName = "tiny";
  await copyFile(
    ground.image,
    path.join(dirs.imageDir, `${imageName}.qcow2`),
    constants.COPYFILE_FICLONE,
  );
  await chmod(path.join(dirs.imageDir, `${imageName}.qcow2`), 0o444);

  const bridge = network === "isolated" ? await openNetwork(root) : null;
  const options: KvmOptions = {
    ...dirs,
    uri,
    ...(libvirt && { runDir: libvirt.runDir, root: libvirt.root }),
    network: bridge === null ? { kind: "user" } : { kind: "network", name: bridge.name },
    emulationAllowed: true,
    agentVersion: "test",
    clock,
    log: silent,
  };
  const driver = createKvmDriver(options);
  const foreign: string[] = [];
  return {
    available: true,
    driver,
    options,
    image: { id: randomUUID(), file: imageName, os: "linux", minMemoryMib: 96 },
    imageName,
    dirs,
    gateway: bridge,
    reopen: async () => createKvmDriver(options),
    openFor: async (installation) =>
      createKvmDriver({ ...options, installation: () => installation }),
    plantForeign: async (vmId) => {
      foreign.push(vmId);
      const file = path.join(root, `${vmId}.xml`);
      await writeFile(file, foreignDomain(vmId));
      await virsh("define", file);
    },
    virsh,
    close: async () => {
      await driver.close();
      for (const uuid of [...(await domainsIn(uri, root)), ...foreign])
        await removeDomain(uri, uuid);
      if (bridge !== null) await virsh("net-destroy", bridge.name);
      await libvirt?.close();
      await rm(root, { recursive: true, force: true });
      await ground.close();
    },
  };
}

async function virshAt(uri: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run("virsh", ["-q", "-c", uri, ...args], {
    env: { ...process.env, LC_ALL: "C" },
  });
  return stdout;
}

async function makeFolders(root: string): Promise<Folders> {
  // QEMU runs as a user of its own, which must be able to pass through.
  await chmod(root, 0o711);
  const folder = async (name: string) => {
    const dir = path.join(root, name);
    await mkdir(dir, { mode: 0o711 });
    return dir;
  };
  return {
    imageDir: await folder("images"),
    diskDir: await folder("disks"),
    seedDir: await folder("seeds"),
    consoleDir: await folder("consoles"),
    trashDir: await folder("trash"),
  };
}

/** An isolated network, gone with the daemon: addresses from 198.18.0.0/15, which is kept for tests (RFC 2544). */
async function openNetwork(root: string) {
  // libvirt 9 makes this folder only with its first network that has DHCP, and writes to it for every network.
  await mkdir("/var/lib/libvirt/dnsmasq", { recursive: true });
  const file = path.join(root, "network.xml");
  for (let tries = 1; ; tries++) {
    const id = randomBytes(3).toString("hex");
    const name = `berth-test-${id}`;
    const address = `198.18.${randomInt(256)}.1`;
    const xml = create({
      network: {
        name,
        bridge: { "@name": `brth${id}`, "@stp": "off", "@delay": "0" },
        dns: { "@enable": "no" },
        ip: { "@address": address, "@prefix": 24 },
      },
    }).end({ headless: true });
    await writeFile(file, xml);
    try {
      await virshAt(URI, ["net-create", file]);
      return { name, address, prefix: 24 };
    } catch (error) {
      // Another test has drawn these addresses.
      if (tries === MOST_DRAWS || !String(error).includes("already in use")) throw error;
    }
  }
}
const MOST_DRAWS = 20;

function foreignDomain(uuid: string): string {
  return create({
    domain: {
      "@type": "qemu",
      name: `foreign-${uuid}`,
      uuid,
      memory: { "@unit": "MiB", "#": 64 },
      os: { type: { "@arch": "x86_64", "@machine": "pc", "#": "hvm" } },
    },
  }).end({ headless: true });
}

async function domainsIn(uri: string, root: string): Promise<string[]> {
  const uuids = (await virshAt(uri, ["list", "--all", "--uuid"])).split(/\s+/).filter(Boolean);
  const mine = await Promise.all(
    // A domain of somebody else may go between the two questions.
    uuids.map(async (uuid) =>
      (await virshAt(uri, ["dumpxml", uuid]).catch(() => "")).includes(`${root}/`),
    ),
  );
  return uuids.filter((_, n) => mine[n]);
}

async function removeDomain(uri: string, uuid: string): Promise<void> {
  await virshAt(uri, ["destroy", uuid]).catch(() => "it is off");
  await virshAt(uri, ["undefine", uuid]).catch(() => "it is gone");
}

const clock: Clock = {
  now: () => new Date(),
  sleep: async (ms, signal) => {
    await wait(ms, undefined, signal ? { signal } : {});
  },
};
const silent: Log = { info: () => undefined, error: () => undefined };
