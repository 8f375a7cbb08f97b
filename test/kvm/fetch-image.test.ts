import { createHash, randomUUID } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { createImageKeeper } from "#host-agent/images/image-keeper.ts";
import { freeBytes } from "#host-agent/images/free-bytes.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { createFakeControlPlane } from "#test/drivers/fake-control-plane.ts";
import { serveFile, startImageServer } from "#test/drivers/image-server.ts";
import { openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

const ground = await openGround();

// 12.7
test.skipIf(!ground.available)(
  "a VM is made from an image that the agent fetched, and the image stays when nobody wants it any more",
  async () => {
    const host = await openKvmTestHost();
    if (!host.available) throw new Error(host.reason);
    const bytes = await readFile(path.join(host.dirs.imageDir, `${host.imageName}.qcow2`));
    const server = await startImageServer(serveFile(bytes));
    const life = new AbortController();
    const plane = createFakeControlPlane();
    const { clock, log } = host.options;
    const folder = host.driver.imageFolder;
    if (folder === null) throw new Error("a KVM host has images");
    const keeper = createImageKeeper({
      folder,
      controlPlane: plane,
      fetch,
      freeBytes,
      clock,
      log,
      signal: life.signal,
    });
    try {
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      plane.wantedImages = [{ file: "fetched-1", url: server.url, sha256, bytes: bytes.length }];
      await keeper.exchange();
      await keeper.idle();
      const { images } = await host.driver.facts();
      expect(images?.find(({ file }) => file === "fetched-1")).toMatchObject({ sha256 });
      expect((await stat(path.join(folder.path, "fetched-1.qcow2"))).mode & 0o777).toBe(0o444);

      const image = { ...host.image, id: randomUUID(), file: "fetched-1" };
      const vm = aDesiredVm({ image });
      await host.driver.create(vm);
      plane.wantedImages = [];
      await keeper.exchange();
      await keeper.idle();
      await host.driver.start(vm);
      const seen = (await host.driver.list()).find(({ vmId }) => vmId === vm.vmId);
      expect(seen).toMatchObject({ power: "running", complete: true });
      await host.driver.destroy(vm);
    } finally {
      life.abort();
      await server.close();
      await host.close();
    }
  },
);
