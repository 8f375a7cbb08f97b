import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { serve } from "@hono/node-server";
import { v7 } from "uuid";
import { addHost } from "#commands/hosts/add-host.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { createAgentApi } from "#functions/app.ts";
import { runAt } from "#host-agent/drivers/simulated/guest.ts";
import { folderWorld } from "#host-agent/drivers/simulated/world.ts";
import { eventually } from "#test/drivers/builders.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { startControlPlane } from "#test/harness/control-plane.ts";
import { aNewVersion, aProvisionedVm, aWorld, SYSTEM, valueOf } from "#test/harness/world.ts";

export const until = <T>(what: string, found: Parameters<typeof eventually<T>>[1]): Promise<T> =>
  eventually(what, found, PATIENCE_MS, 50);

export type CompatPlane = Awaited<ReturnType<typeof startCompatPlane>>;

/** This control plane over HTTP, with one host whose agent is a process of the test's choice. Its time is the real one. */
export async function startCompatPlane() {
  // With releases, so that every session speaks of them.
  const releaseKey = "k".repeat(43);
  const cp = await startControlPlane({ start: new Date().toISOString(), releaseKey });
  const tick = () => cp.clock.advance(Math.max(0, Date.now() - +cp.clock.now()));
  const api = createAgentApi({
    ...cp.deps,
    // So that a session has a doorbell to speak of; nothing listens there.
    queues: { ...cp.deps.queues, ensureHostQueue: async () => "http://127.0.0.1:9/1/doorbell" },
    settings: {
      ...cp.deps.settings,
      intervals: { resyncSeconds: 0.5, usageSampleSeconds: 0.25, usageFlushSeconds: 0.25 },
    },
  });
  /** What agents asked, and how it was answered: `POST /agent/v1/usage 200`. */
  const answers: string[] = [];
  const server = serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      tick();
      const answer = await api.fetch(request);
      answers.push(`${request.method} ${new URL(request.url).pathname} ${answer.status}`);
      return answer;
    },
  });
  const port = await until("the server listens", () => {
    const address = server.address();
    return address !== null && typeof address === "object" ? address.port : null;
  });
  const folder = await mkdtemp(path.join(tmpdir(), "berth-compat-"));
  const world = await aWorld(cp, { places: 0 });
  // The oldest agents read a simulated machine strictly: one that is limited would be none to them.
  await aNewVersion(cp, world.planId, { bandwidthMbit: null });
  const { host, joinToken } = valueOf(
    await addHost(cp.deps, SYSTEM, {
      name: v7(),
      locationId: world.locationId,
      // The agents' driver is the simulated one.
      testOnly: true,
      cpuOvercommit: 4,
    }),
  );
  await writeFile(path.join(folder, "token"), joinToken);
  const machine = folderWorld(path.join(folder, "world"));

  return {
    cp,
    world,
    folder,
    answers,
    apiUrl: `http://127.0.0.1:${port}`,
    machine,
    enrolled: () =>
      until("the host is enrolled", async () => {
        const [row] = await cp.rows("select state from hosts where id = $1", host.id);
        return row?.["state"] === "active";
      }),
    /** Of the world's image, which asks for this. */
    async order({ firmware = null }: { firmware?: "uefi" | null } = {}): Promise<string> {
      tick();
      const asking = "update images set firmware = $1::image_firmware where id = $2";
      await cp.rows(asking, firmware, world.imageId);
      // Time is the real one: the steps of an order do not move it.
      const still = { ...cp, clock: { ...cp.clock, advance: () => {} } };
      const { vmId } = await aProvisionedVm(still, world);
      return vmId;
    },
    async ask(vmId: string, type: Parameters<typeof requestAction>[1]["type"]): Promise<string> {
      tick();
      return valueOf(await requestAction(cp.deps, { who: world.buyer, vmId, type })).id;
    },
    actionEnded: (actionId: string) =>
      until(`the action ${actionId} ends`, async () => {
        const [row] = await cp.rows("select status from actions where id = $1", actionId);
        return row?.["status"] === "running" ? null : String(row?.["status"]);
      }),
    row: async (vmId: string) => (await cp.rows("select * from vms where id = $1", vmId))[0] ?? {},
    /** The machine itself says so. */
    async runs(vmId: string): Promise<boolean> {
      const vm = await machine.vm(vmId);
      return vm !== null && runAt(vm, Date.now()) !== null;
    },
    samples: async (vmId: string) =>
      (
        await cp.rows(
          "select from_at, to_at from usage_samples where vm_id = $1 order by from_at",
          vmId,
        )
      ).map((row) => ({ from: Number(row["from_at"]), to: Number(row["to_at"]) })),
    async close() {
      await new Promise((resolve) => {
        server.close(resolve);
        if ("closeAllConnections" in server) server.closeAllConnections();
      });
      await cp.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
