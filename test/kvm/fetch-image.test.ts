import { createHash, randomUUID } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { SignJWT } from "jose";
import { expect, test } from "vitest";
import { createImageKeeper } from "#host-agent/images/image-keeper.ts";
import { createImageServer } from "#host-agent/images/serve-images.ts";
import { freeBytes } from "#host-agent/images/free-bytes.ts";
import { aDesiredVm } from "#test/drivers/builders.ts";
import { createFakeControlPlane } from "#test/drivers/fake-control-plane.ts";
import { serveFile, startImageServer } from "#test/drivers/image-server.ts";
import { openKvmTestHost } from "./host.ts";
import { openGround } from "./libvirt-daemon.ts";

const ground = await openGround();

// 12.7
test.skipIf(!ground.available)(
  "a VM is made from an image that a second agent fetched from the first, and the image stays when nobody wants it any more",
  async () => {
    const [first, second] = [await openKvmTestHost(), await openKvmTestHost()];
    if (!first.available) throw new Error(first.reason);
    if (!second.available) throw new Error(second.reason);
    const bytes = await readFile(path.join(first.dirs.imageDir, `${first.imageName}.qcow2`));
    const server = await startImageServer(serveFile(bytes));
    const life = new AbortController();
    const { signal } = life;
    const imagesOf = (host: typeof first) => {
      const plane = createFakeControlPlane();
      const { clock, log } = host.options;
      const folder = host.driver.imageFolder;
      if (folder === null) throw new Error("a KVM host has images");
      const serving = createImageServer({
        hostId: plane.hostId,
        folder,
        options: { address: "127.0.0.1", port: 0, mbitPerSecond: 10_000, hostsAtOnce: 1 },
        filesOf: (sha256) => keeper.filesOf(sha256),
        clock,
        planeNow: () => clock.now(),
        log,
        signal,
      });
      const ports = { folder, controlPlane: plane, fetch, freeBytes, clock, log, signal };
      const keeper = createImageKeeper({ ...ports, serving: () => serving.serving() });
      const settle = async () => {
        await keeper.exchange();
        await keeper.idle();
      };
      return { plane, folder, settle };
    };
    try {
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      const wanted = { file: "fetched-1", url: server.url, sha256, bytes: bytes.length };
      const [one, two] = [imagesOf(first), imagesOf(second)];
      one.plane.wantedImages = [wanted];
      await one.settle();
      await one.settle();
      const serves = one.plane.progress.at(-1)?.serves;
      if (serves === undefined) throw new Error("it does not serve");
      // Its checksum is known when it has been read through, as with each report.
      await first.driver.facts();
      const { hostId } = one.plane;
      const token = await new SignJWT({ sha256 })
        .setProtectedHeader({ alg: "HS256" })
        .setSubject(two.plane.hostId)
        .setAudience(hostId)
        .setExpirationTime(Math.floor(+first.options.clock.now() / 1000) + 60)
        .sign(Buffer.from(serves.key, "base64url"));
      const peer = { hostId, address: serves.address, port: serves.port, token };
      two.plane.wantedImages = [{ ...wanted, peers: [peer] }];
      await two.settle();
      await two.settle();
      expect(two.plane.progress.at(-1)?.fetches).toMatchObject([
        { state: "held", source: "peer", peerId: hostId },
      ]);
      expect(server.asked).toHaveLength(1);
      const { images } = await second.driver.facts();
      expect(images?.find(({ file }) => file === "fetched-1")).toMatchObject({ sha256 });
      const fetched = path.join(two.folder.path, "fetched-1.qcow2");
      expect((await stat(fetched)).mode & 0o777).toBe(0o444);

      const image = { ...second.image, id: randomUUID(), file: "fetched-1" };
      const vm = aDesiredVm({ image });
      await second.driver.create(vm);
      two.plane.wantedImages = [];
      await two.settle();
      await second.driver.start(vm);
      const seen = (await second.driver.list()).find(({ vmId }) => vmId === vm.vmId);
      expect(seen).toMatchObject({ power: "running", complete: true });
      await second.driver.destroy(vm);
    } finally {
      life.abort();
      await server.close();
      await first.close();
      await second.close();
    }
  },
);
