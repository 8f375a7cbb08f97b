import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { SeedRequest, SeedResult } from "./seed-run.ts";

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

  const serve = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL("./worker.ts", import.meta.url), {
        workerData: { mutant: options.mutant ?? null },
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

/** `count` seeds from `from` on. */
export function* seedsFrom(
  from: number,
  count: number,
  how: { shrink: boolean; keepTrace: boolean },
): Generator<SeedRequest> {
  for (let seed = from; seed < from + count; seed++) yield { seed, path: null, ...how };
}
