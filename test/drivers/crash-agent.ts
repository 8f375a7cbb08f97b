import { z } from "zod";
import { createAgent } from "#host-agent/agent.ts";
import { createHttpControlPlane } from "#host-agent/channel/control-plane.ts";
import { readDocument } from "#host-agent/converge/read-document.ts";
import { NO_DELAYS } from "#host-agent/drivers/simulated/delays.ts";
import { createSimulatedDriver } from "#host-agent/drivers/simulated/driver.ts";
import { folderWorld } from "#host-agent/drivers/simulated/world.ts";
import { createSigner, loadIdentity } from "#host-agent/channel/identity.ts";
import { createMemoryDoorbell } from "#host-agent/channel/rings.ts";
import { fileStore } from "#host-agent/state/state-store.ts";
import { createJsonLog } from "#host-agent/json-log.ts";
import { systemClock as clock, systemIds as ids } from "#host-agent/system.ts";
import { forever, mortalControlPlane, mortalStore } from "./mortal.ts";

/*
 * The agent as a process that kills itself with SIGKILL at a chosen step. It is the real agent with its real key,
 * wire, state files and simulated world; only nobody ever rings its doorbell.
 */
const Orders = z.strictObject({
  apiUrl: z.url(),
  stateDir: z.string(),
  world: z.string(),
  /** Dies at the so manieth step after it was told that the VM should be so; null: only from outside. */
  dieAt: z.strictObject({ presence: z.enum(["present", "absent"]), step: z.int() }).nullable(),
});

const orders = Orders.parse(JSON.parse(process.argv[2] ?? ""));
let armed = false;
let steps = 0;

async function step(): Promise<void> {
  if (!armed) return;
  steps += 1;
  if (steps !== orders.dieAt?.step) return;
  process.kill(process.pid, "SIGKILL");
  await forever;
}

// Flushing to the disk is for power cuts, not for kills, and 200 processes would wait for it.
const store = mortalStore(fileStore(orders.stateDir, { durable: false }), step);
const identity = await loadIdentity(store);
if (identity === null) throw new Error("the test enrols this host first");
const sign = await createSigner(identity, { clock, ids });
const plane = createHttpControlPlane({ apiUrl: orders.apiUrl, fetch, clock, sign });
const agent = createAgent({
  hostId: identity.enrolled.hostId,
  driver: createSimulatedDriver({
    world: folderWorld(orders.world),
    clock,
    ids,
    delays: NO_DELAYS,
    faults: step,
  }),
  controlPlane: mortalControlPlane(plane, step, (document) => {
    armed ||= readDocument(document).vms.some((vm) => vm.presence === orders.dieAt?.presence);
  }),
  doorbell: createMemoryDoorbell,
  store,
  clock,
  random: () => 0.5,
  log: createJsonLog((line) => process.stderr.write(line), clock),
});
await agent.run(new AbortController().signal);
