import { z } from "zod";
import { DRIVER_NAMES, openDriver } from "#host-agent/drivers/open-driver.ts";
import { createJsonLog } from "#host-agent/json-log.ts";
import { systemIds as ids } from "#host-agent/system.ts";
import { startAgent } from "#local/agents.ts";
import { createLocalClock } from "#local/clock.ts";

/*
 * An agent of the local stack as a process of its own, which a test may kill. It is the real agent with its real driver, wire and state
 * files, on the stack's clock as far as its parent tells it of that (`agent-process.ts`).
 */
const Orders = z.strictObject({
  name: z.string(),
  folder: z.string(),
  apiUrl: z.url(),
  joinToken: z.string(),
  driver: z.enum(DRIVER_NAMES),
  driverOptions: z.unknown(),
  movesPort: z.int(),
  clockOffsetMs: z.number(),
});
const Told = z.strictObject({ advanceMs: z.number() });

const orders = Orders.parse(JSON.parse(process.argv[2] ?? ""));
const clock = createLocalClock(orders.clockOffsetMs);
process.on("message", (told) => clock.advance(Told.parse(told).advanceMs));
// Nobody's agent outlives its test.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));

await startAgent({
  host: {
    name: orders.name,
    open: (_, ports) => openDriver(orders.driver, orders.driverOptions, ports),
  },
  folder: orders.folder,
  apiUrl: orders.apiUrl,
  joinToken: async () => orders.joinToken,
  clock,
  ids,
  log: createJsonLog((line) => process.stderr.write(line), clock),
  takesMovesAt: { address: "127.0.0.1", port: orders.movesPort },
  mustSee: false,
});
process.send?.("started");
