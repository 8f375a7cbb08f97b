import { enableCompileCache } from "node:module";
import path from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { z } from "zod";
import { plant } from "./mutants/plant.ts";
import { MUTANTS } from "./mutants/mutants.ts";
import type { SeedRequest } from "./seed-run.ts";

/*
 * One thread of the simulator: takes seeds one after the other. A planted defect is planted before the product is
 * loaded, so that the whole thread has it and no file does.
 */
const { mutant, database } = z
  .object({ mutant: z.string().nullable(), database: z.string() })
  .parse(workerData);
if (mutant !== null) {
  const found = MUTANTS.find(({ name }) => name === mutant);
  if (found === undefined) throw new Error(`there is no mutant ${mutant}`);
  plant(found);
}
// Each thread loads the product anew: what was stripped of its types and compiled once is taken from here.
enableCompileCache(path.join(import.meta.dirname, "../../.cache/compiled"));
const { createSeedRunner } = await import("./seed-run.ts");
const runSeed = await createSeedRunner(database);

parentPort?.on("message", (request: SeedRequest) => {
  runSeed(request).then(
    (result) => parentPort?.postMessage({ result }),
    (error: unknown) =>
      parentPort?.postMessage({
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
  );
});
parentPort?.postMessage({ ready: true });
