import { z } from "zod";
import { systemClock, systemIds } from "#adapters/clock.ts";
import { openDriver } from "#host-agent/drivers/open-driver.ts";
import { startAgent } from "#local/agents.ts";

/* A host's agent as a process of its own, which a test may kill. What it logs goes to its standard output. */

const Given = z.object({
  name: z.string(),
  folder: z.string(),
  apiUrl: z.string(),
  joinToken: z.string(),
  driver: z.record(z.string(), z.unknown()),
  movesPort: z.int().positive(),
});
const { name, driver, joinToken, movesPort, ...given } = Given.parse(
  JSON.parse(process.argv[2] ?? ""),
);

const line = (event: string, fields: object) =>
  void process.stdout.write(`${JSON.stringify({ at: new Date(), event, ...fields })}\n`);
await startAgent({
  ...given,
  host: { name, open: (_, ports) => openDriver("kvm", driver, ports) },
  joinToken: async () => joinToken,
  takesMovesAt: { address: "127.0.0.1", port: movesPort },
  clock: systemClock,
  ids: systemIds,
  log: { info: line, error: (event, fields) => line(`ERROR ${event}`, fields) },
  ended: () => process.exit(1),
});
