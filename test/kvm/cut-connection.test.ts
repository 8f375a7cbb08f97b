import { connect, createServer, type Socket } from "node:net";
import { once } from "node:events";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DriverError, type VmDriver } from "#host-agent/drivers/driver.ts";
import { createKvmDriver } from "#host-agent/drivers/kvm/driver.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { type KvmTestHost, openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

/* A libvirt that is restarted, as by every upgrade of its package, cuts virsh off in the middle of its questions. */

const LIBVIRT_SOCKET = "/run/libvirt/libvirt-sock";
const ground = await openGround();
const why = ground.available ? "" : ` (skipped: ${ground.reason})`;

/** libvirt behind a door that cuts off whoever sends its nth message, and lets everybody else through. */
async function openDoor(socket: string) {
  const door = { cutAt: Infinity, sent: 0, close: () => void server.close() };
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const libvirt = connect(LIBVIRT_SOCKET);
    const ends = [client, libvirt];
    const cut = () => {
      for (const end of ends) {
        end.destroy();
        open.delete(end);
      }
    };
    for (const end of ends) {
      open.add(end);
      end.on("error", cut).on("close", cut);
    }
    client.on("data", (chunk) => {
      door.sent += 1;
      if (door.sent === door.cutAt) cut();
      else libvirt.write(chunk);
    });
    libvirt.pipe(client);
  }).listen(socket);
  await once(server, "listening");
  return door;
}

describe.skipIf(!ground.available)(`a connection to libvirt that is cut${why}`, () => {
  let host: KvmTestHost;
  let door: Awaited<ReturnType<typeof openDoor>>;
  let driver: VmDriver;
  const vm = aDesiredVm();
  beforeAll(async () => {
    const opened = await openKvmTestHost();
    if (!opened.available) throw new Error(opened.reason);
    host = opened;
    await host.driver.create({ ...vm, image: host.image });
    await host.driver.start(vm);
    const socket = path.join(path.dirname(host.dirs.diskDir), "door.sock");
    door = await openDoor(socket);
    driver = createKvmDriver({ ...host.options, uri: `qemu+unix:///system?socket=${socket}` });
  });
  afterAll(async () => {
    await driver.close();
    door.close();
    await host.close();
  });

  /** Asks with the connection cut at its first message, at its second, and so on until it is not cut any more. */
  async function cutEverywhere<T>(question: () => Promise<T>, isWhole: (answer: T) => boolean) {
    const seen = { refused: 0, whole: 0, wrong: new Array<string>() };
    for (let n = 1; ; n++) {
      Object.assign(door, { cutAt: n, sent: 0 });
      try {
        if (isWhole(await question())) seen.whole += 1;
        else seen.wrong.push(`cut at ${n}`);
      } catch (error) {
        if (error instanceof DriverError && error.code === "hypervisor_unavailable")
          seen.refused += 1;
        else seen.wrong.push(`cut at ${n}: ${String(error)}`);
      }
      if (door.sent < n) return seen;
    }
  }

  test("never makes a VM that runs look as if it were off or gone", async () => {
    const seen = await cutEverywhere(
      () => driver.list(),
      (vms) => vms.find((one) => one.vmId === vm.vmId)?.power === "running",
    );
    expect(seen.wrong).toEqual([]);
    expect(seen.refused).toBeGreaterThan(5);
    expect(seen.whole).toBeGreaterThan(0);
  });

  test("never makes a running VM's counters go missing from an answer", async () => {
    const seen = await cutEverywhere(
      () => driver.counters(),
      (all) => all.some((one) => one.vmId === vm.vmId),
    );
    expect(seen.wrong).toEqual([]);
    expect(seen.refused).toBeGreaterThan(5);
  });

  test("never lets a VM be made anew over the one that runs", async () => {
    const before = await host.virsh("dumpxml", "--inactive", vm.vmId);
    const seen = await cutEverywhere(
      () => driver.create({ ...vm, image: host.image, hostname: "other.example.com" }),
      () => true,
    );
    expect(seen.wrong).toEqual([]);
    expect(await host.virsh("dumpxml", "--inactive", vm.vmId)).toBe(before);
  });
});
