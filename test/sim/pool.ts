import { once } from "node:events";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { z } from "zod";
import type { SeedRequest, SeedResult } from "./seed-run.ts";

/** A whole run: so many seeds from 1 on (`npm run test:all`, and a part of them in `.ci/run`). */
export const FULL_RUN = 500;

type Message = { ready: true } | { result: SeedResult } | { error: string };

/**
 * Runs seeds on worker threads, each result as it comes; ends early once `onResult` says "stop". Throws when a thread
 * dies: a run that cannot be finished is no run that held.
 */
export async function runSeeds(
  requests: Iterable<SeedRequest>,
  options: {
    onResult: (result: SeedResult) => "go_on" | "stop";
    mutant?: string;
    threads?: number;
  },
): Promise<void> {
  const waiting = requests[Symbol.iterator]();
  let stopped = false;
  const next = (): SeedRequest | null => {
    if (stopped) return null;
    const { value, done } = waiting.next();
    return done === true ? null : value;
  };

  const database = await preparedDatabase();
  const serve = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL("./worker.ts", import.meta.url), {
        workerData: { mutant: options.mutant ?? null, database },
        // Type stripping and the like are told once, by whoever starts the simulator.
        execArgv: ["--no-warnings"],
      });
      const end = (how: () => void) => void worker.terminate().then(how, reject);
      worker.on("error", reject);
      worker.on("exit", (code) =>
        code === 0 ? resolve() : reject(new Error(`a thread ended with ${code}`)),
      );
      worker.on("message", (message: Message) => {
        if ("error" in message) {
          end(() => reject(new Error(message.error)));
          return;
        }
        if ("result" in message && options.onResult(message.result) === "stop") stopped = true;
        const request = next();
        if (request === null) {
          worker.removeAllListeners("exit");
          end(resolve);
        } else worker.postMessage(request);
      });
    });
  const threads = options.threads ?? Math.max(1, Math.min(availableParallelism(), 8));
  await Promise.all(Array.from({ length: threads }, serve));
}

let prepared: Promise<string> | undefined;
/** The file of the database that all threads begin with. Made once: seconds, when the schema has changed. */
function preparedDatabase(): Promise<string> {
  prepared ??= (async () => {
    const worker = new Worker(new URL("./prepare-database.ts", import.meta.url), {
      execArgv: ["--no-warnings"],
    });
    try {
      const [file] = z.tuple([z.string()]).parse(await once(worker, "message"));
      return file;
    } finally {
      await worker.terminate();
    }
  })();
  return prepared;
}

/** `count` seeds from `from` on. */
export function* seedsFrom(
  from: number,
  count: number,
  how: { shrink: boolean; keepTrace: boolean },
): Generator<SeedRequest> {
  for (let seed = from; seed < from + count; seed++) yield { seed, path: null, ...how };
}
