import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { z } from "zod";
import { AGENT_ERROR_CODES } from "#core/contracts/agent/report.ts";
import type { Clock, Log } from "#core/ports.ts";
import { pause, WAITED_ENOUGH } from "#host-agent/time-limit.ts";
import { DriverError } from "../driver.ts";

/** How to start PowerShell, and what `agent.ps1` is told first. */
export type WorkerOptions = Readonly<{
  /** `powershell.exe` (5.1) by its full path, or PowerShell 7. */
  executable: string;
  script: string;
  /** The module to import: `Hyper-V`, or the path of a stand-in. */
  module: string;
  env?: Readonly<Record<string, string>>;
  config: Readonly<{
    root: string;
    images: string;
    switch: string;
    dynamicMemoryMinimumPercent: number | null;
  }>;
  /** Importing the module takes seconds on a real host. */
  startTimeoutMs: number;
  /** After so long without a call PowerShell is ended, and the next call starts another. Left out: it stays. */
  idleMs?: number | undefined;
  clock: Clock;
  log: Log;
}>;
export type CallLimits = Readonly<{ timeoutMs: number; signal?: AbortSignal | undefined }>;

/**
 * One long-lived PowerShell that answers one request at a time, in the order of the calls.
 *
 * A call that takes too long or is aborted kills the process, since nothing less interrupts a cmdlet, and rejects
 * once the process is gone; the next call starts another. What the killed one had done is for `list` to tell.
 */
export type Worker = Readonly<{
  call: (op: string, fields: object, limits: CallLimits) => Promise<unknown>;
  close: () => Promise<void>;
}>;

const MARK = "berth1 ";
/** More than a list of 2,000 VMs takes; a line past it is a fault. */
const MAX_LINE = 64 * 1024 * 1024;
const Answer = z.discriminatedUnion("ok", [
  z.object({ id: z.int().nullable(), ok: z.literal(true), value: z.unknown() }),
  z.object({
    id: z.int().nullable(),
    ok: z.literal(false),
    error: z.object({
      code: z.enum([...AGENT_ERROR_CODES, "bad_request"]),
      detail: z.string(),
      errorId: z.string().nullable(),
    }),
  }),
]);
type Answer = z.infer<typeof Answer>;

export function createWorker(options: WorkerOptions): Worker {
  let current: Process | null = null;
  let queue: Promise<unknown> = Promise.resolve();
  let closed = false;
  let calls = 0;
  let resting = new AbortController();

  /** In one breath: a call that comes after it finds its process ended, and starts another. */
  async function rest(): Promise<void> {
    const { idleMs, clock } = options;
    if (idleMs === undefined || closed) return;
    resting = new AbortController();
    const { signal } = resting;
    await pause(clock, idleMs, signal);
    if (!signal.aborted) await current?.kill();
  }

  async function ready(signal: AbortSignal): Promise<Process> {
    if (current && !current.ended()) return current;
    const started = startProcess(options);
    current = started;
    try {
      await started.ask("configure", options.config, signal);
    } catch (error) {
      await started.kill();
      if (signal.aborted) throw error;
      throw new DriverError("hypervisor_unavailable", `PowerShell did not start: ${text(error)}`, {
        cause: error,
      });
    }
    return started;
  }

  async function run(op: string, fields: object, limits: CallLimits): Promise<unknown> {
    if (closed) throw new DriverError("hypervisor_unavailable", "the driver was closed");
    limits.signal?.throwIfAborted();
    const fresh = current === null || current.ended();
    const limitMs = limits.timeoutMs + (fresh ? options.startTimeoutMs : 0);
    const timer = new AbortController();
    const late = new DriverError("timed_out", `${op} took longer than ${limitMs} ms`);
    options.clock.sleep(limitMs, timer.signal).then(
      () => timer.abort(late),
      () => undefined,
    );
    const signal = limits.signal ? AbortSignal.any([timer.signal, limits.signal]) : timer.signal;
    try {
      return await (await ready(signal)).ask(op, fields, signal);
    } catch (error) {
      if (signal.aborted) await current?.kill();
      throw error;
    } finally {
      timer.abort(WAITED_ENOUGH);
    }
  }

  return {
    call(op, fields, limits) {
      calls += 1;
      resting.abort(WAITED_ENOUGH);
      const turn = queue.then(() => run(op, fields, limits));
      queue = turn
        .catch(() => undefined)
        .finally(() => {
          calls -= 1;
          if (calls === 0) void rest();
        });
      return turn;
    },
    async close() {
      closed = true;
      resting.abort(WAITED_ENOUGH);
      await current?.kill();
    },
  };
}

type Process = Readonly<{
  ask: (op: string, fields: object, signal: AbortSignal) => Promise<unknown>;
  kill: () => Promise<void>;
  ended: () => boolean;
}>;
type Pending = { id: number; settle: (answer: Answer) => void; fail: (error: Error) => void };

function startProcess(options: WorkerOptions): Process {
  const { executable, script, module, log } = options;
  const child = spawn(
    executable,
    // prettier-ignore
    ["-NoProfile", "-NonInteractive", "-NoLogo", "-ExecutionPolicy", "Bypass", "-File", script, "-HyperVModule", module],
    {
      stdio: "pipe",
      windowsHide: true,
      env: childEnvironment(executable, process.env, options.env),
    },
  );
  let pending: Pending | null = null;
  let lastId = 0;
  let ended: Error | null = null;
  let complaint = "";

  const end = (error: Error) => {
    ended ??= error;
    pending?.fail(ended);
    pending = null;
  };
  const gone = once(child, "close").catch(() => undefined);
  child.once("error", (error) =>
    end(new DriverError("hypervisor_unavailable", "cannot run PowerShell", { cause: error })),
  );
  child.once("close", (code, signal) =>
    end(
      new DriverError(
        "hypervisor_unavailable",
        `PowerShell ended (${code ?? signal}): ${complaint}`,
      ),
    ),
  );
  child.stdin.on("error", () => undefined); // a write to a process that is ending: `close` tells
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    complaint = (complaint + chunk).slice(-1000);
  });

  function broken(why: string): void {
    log.error("hyperv.worker_broken", { detail: why });
    child.kill("SIGKILL");
    end(new DriverError("driver_failed", why));
  }
  eachLine(child, broken, (line) => {
    if (!line.startsWith(MARK)) {
      // A banner, a warning of a module: told, and no harm.
      log.info("hyperv.worker_noise", { characters: line.length });
      return;
    }
    const answer = decode(line.slice(MARK.length));
    if (!answer) return broken("an answer of PowerShell could not be read");
    if (!pending || (answer.id !== null && answer.id !== pending.id)) return;
    pending.settle(answer);
  });

  return {
    ended: () => ended !== null,
    async kill() {
      child.kill("SIGKILL");
      end(new DriverError("hypervisor_unavailable", "PowerShell was ended"));
      await gone;
    },
    ask(op, fields, signal) {
      return new Promise((resolve, reject) => {
        if (ended) return reject(ended);
        if (signal.aborted) return reject(reason(signal));
        const id = ++lastId;
        const abort = () => fail(reason(signal));
        const done = () => {
          pending = null;
          signal.removeEventListener("abort", abort);
        };
        const fail = (error: Error) => {
          done();
          reject(error);
        };
        const settle = (answer: Answer) => {
          done();
          if (answer.ok) resolve(answer.value);
          else reject(refusal(op, answer.error));
        };
        signal.addEventListener("abort", abort, { once: true });
        pending = { id, settle, fail };
        child.stdin.write(encode({ ...fields, id, op }));
      });
    },
  };
}

/**
 * What PowerShell gets of our environment. Windows PowerShell 5.1 makes its own PSModulePath when it gets none; the one
 * of a PowerShell 7, that the agent was started from, makes it load modules of 7, which it cannot (PowerShell #27774).
 */
export function childEnvironment(
  executable: string,
  own: NodeJS.ProcessEnv,
  given: Readonly<Record<string, string>> = {},
): NodeJS.ProcessEnv {
  const isOf5 = path.win32.basename(executable).toLowerCase() === "powershell.exe";
  const inherited = Object.entries(own).filter(
    // In any letter case: Windows makes no difference, and Node keeps what it finds.
    ([name]) => !isOf5 || name.toLowerCase() !== "psmodulepath",
  );
  return { ...Object.fromEntries(inherited), ...given };
}

function encode(request: object): string {
  return `${MARK}${Buffer.from(JSON.stringify(request), "utf8").toString("base64")}\n`;
}

function decode(base64: string): Answer | null {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(base64, "base64").toString("utf8"));
    return Answer.safeParse(parsed).data ?? null;
  } catch {
    return null;
  }
}

function refusal(op: string, error: Extract<Answer, { ok: false }>["error"]): DriverError {
  const detail = `${op}: ${error.detail}${error.errorId === null ? "" : ` [${error.errorId}]`}`;
  // A request that the script finds malformed can be made by no driver that is right, and does nothing.
  return new DriverError(error.code === "bad_request" ? "unsupported" : error.code, detail);
}

function eachLine(
  child: ChildProcessWithoutNullStreams,
  tooLong: (why: string) => void,
  take: (line: string) => void,
): void {
  let parts: string[] = [];
  let length = 0;
  child.stdout.setEncoding("latin1").on("data", (chunk: string) => {
    const lines = chunk.split("\n");
    for (const [n, part] of lines.entries()) {
      if (n > 0) {
        take(parts.join("").trimEnd());
        parts = [];
        length = 0;
      }
      parts.push(part);
      length += part.length;
    }
    if (length > MAX_LINE) tooLong("PowerShell wrote a line without an end");
  });
}

const reason = (signal: AbortSignal): Error =>
  signal.reason instanceof Error ? signal.reason : new Error("aborted", { cause: signal.reason });
const text = (error: unknown): string => (error instanceof Error ? error.message : String(error));
