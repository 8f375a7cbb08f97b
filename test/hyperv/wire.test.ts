import path from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Log } from "#core/ports.ts";
import {
  childEnvironment,
  createWorker,
  type Worker,
  type WorkerOptions,
} from "#host-agent/drivers/hyperv/powershell.ts";
import { createLocalClock } from "#local/clock.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { realClock } from "../drivers/builders.ts";

describe("the environment of PowerShell", () => {
  const own = {
    PATH: "C:\\x",
    psModulepath: "C:\\Program Files\\PowerShell\\7\\Modules",
    PSModulePath: "y",
  };
  const windows = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\PowerShell.exe";

  test("of 5.1 is ours without the module path of a PowerShell 7", () => {
    expect(childEnvironment(windows, own, { A: "b" })).toEqual({ PATH: "C:\\x", A: "b" });
  });

  test("of 5.1 has a module path that it was given", () => {
    const given = { PSModulePath: "D:\\modules" };
    expect(childEnvironment(windows, own, given)).toEqual({ PATH: "C:\\x", ...given });
  });

  test("of PowerShell 7 is ours", () => {
    for (const pwsh of ["C:\\Program Files\\PowerShell\\7\\pwsh.exe", "/usr/bin/pwsh"])
      expect(childEnvironment(pwsh, own)).toEqual(own);
  });
});

/** The Node side of the wire, over a fake PowerShell that misbehaves. */
describe("the wire to PowerShell", () => {
  const workers: Worker[] = [];
  const told: string[] = [];
  const log: Log = {
    info: (event) => void told.push(event),
    error: (event) => void told.push(event),
  };
  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.close()));
    told.length = 0;
  });
  const open = (
    manner = "",
    executable = path.join(import.meta.dirname, "fake-worker.mjs"),
    more: Partial<WorkerOptions> = {},
  ) => {
    const worker = createWorker({
      executable,
      script: "agent.ps1",
      module: "Hyper-V",
      env: { FAKE_MANNER: manner },
      config: { root: "/r", images: "/i", switch: "s", dynamicMemoryMinimumPercent: null },
      startTimeoutMs: PATIENCE_MS,
      clock: realClock,
      log,
      ...more,
    });
    workers.push(worker);
    return worker;
  };
  const patient = { timeoutMs: PATIENCE_MS };
  const pidOf = async (worker: Worker) => {
    const answer = await worker.call("echo", {}, patient);
    if (typeof answer === "object" && answer && "pid" in answer) return Number(answer.pid);
    throw new Error("no pid");
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const runs = (pid: number) => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };

  test("one process answers many calls, in their order", async () => {
    const worker = open();
    const answers = await Promise.all(["a", "b", "c"].map((op) => worker.call(op, {}, patient)));
    expect(answers).toMatchObject([{ op: "a" }, { op: "b" }, { op: "c" }]);
    expect(await pidOf(worker)).toBe(await pidOf(worker));
  });

  test("a process that nothing was asked of for so long is ended, and the next call starts another", async () => {
    const clock = createLocalClock();
    const worker = open("", undefined, { clock, idleMs: 1_000_000 });
    const pid = await pidOf(worker);
    clock.advance(600_000);
    expect(await pidOf(worker)).toBe(pid);
    clock.advance(600_000); // of which that call was the beginning
    expect(await pidOf(worker)).toBe(pid);
    clock.advance(1_000_000);
    await vi.waitFor(() => expect(runs(pid)).toBe(false), PATIENCE_MS);
    expect(await pidOf(worker)).not.toBe(pid);
  });

  test("a process that is asked something is not idle, however long the answer takes", async () => {
    const clock = createLocalClock();
    const worker = open("", undefined, { clock, idleMs: 1000 });
    const pid = await pidOf(worker);
    const hanging = worker.call("hang", {}, { timeoutMs: 900_000 });
    const behind = pidOf(worker);
    await settled(); // the call is on its way
    clock.advance(600_000);
    await settled();
    expect(runs(pid)).toBe(true);
    clock.advance(300_000);
    await expect(hanging).rejects.toMatchObject({ code: "timed_out" });
    expect(await behind).not.toBe(pid);
  });

  test("what is no answer is skipped, and so is an answer to another question", async () => {
    expect(await open().call("noise", {}, patient)).toBe("after noise");
    expect(told).toContain("hyperv.worker_noise");
  });

  test("an answer in pieces is one answer", async () => {
    expect(await open().call("split", {}, patient)).toBe("whole");
  });

  test.each(["garbage", "unknown code"])(
    "%s for an answer fails the call, and ends the process",
    async (op) => {
      const worker = open();
      const pid = await pidOf(worker);
      await expect(worker.call(op, {}, patient)).rejects.toMatchObject({ code: "driver_failed" });
      expect(await pidOf(worker)).not.toBe(pid);
      expect(told).toContain("hyperv.worker_broken");
    },
  );

  test("a call that takes too long is told as such once its process is gone, and the next has another", async () => {
    const worker = open();
    const pid = await pidOf(worker);
    await expect(worker.call("hang", {}, { timeoutMs: 30 })).rejects.toMatchObject({
      code: "timed_out",
    });
    expect(runs(pid)).toBe(false);
    expect(await pidOf(worker)).not.toBe(pid);
  });

  test("an aborted call ends with the reason of its signal, and its process with it", async () => {
    const worker = open();
    const pid = await pidOf(worker);
    const abort = new AbortController();
    const call = worker.call("hang", {}, { ...patient, signal: abort.signal });
    // Once all that waits for nothing has run, the call is on its way.
    await settled();
    abort.abort(new Error("the agent stops"));
    await expect(call).rejects.toThrow("the agent stops");
    expect(runs(pid)).toBe(false);
    expect(await pidOf(worker)).not.toBe(pid);
  });

  test("a call that waits behind another does not begin when it was aborted", async () => {
    const worker = open();
    const pid = await pidOf(worker);
    const slow = worker.call("hang", {}, { timeoutMs: 50 });
    const second = worker.call(
      "echo",
      {},
      { ...patient, signal: AbortSignal.abort(new Error("no more")) },
    );
    await expect(slow).rejects.toMatchObject({ code: "timed_out" });
    await expect(second).rejects.toThrow("no more");
    expect(runs(pid)).toBe(false);
  });

  test("a process that dies in the middle fails its call, and the next call starts another", async () => {
    const worker = open();
    await expect(worker.call("die", {}, patient)).rejects.toMatchObject({
      code: "hypervisor_unavailable",
    });
    expect(await worker.call("echo", {}, patient)).toMatchObject({ op: "echo" });
  });

  test.each([
    { manner: "dies at start", says: /no such module/ },
    { manner: "is refused at start", says: /no rights.*AccessDenied/ },
  ])("a PowerShell that $manner says why", async ({ manner, says }) => {
    const call = open(manner).call("echo", {}, patient);
    await expect(call).rejects.toMatchObject({
      code: "hypervisor_unavailable",
      message: expect.stringMatching(says),
    });
  });

  test("no PowerShell at all is told", async () => {
    const call = open("", "/no/such/powershell").call("echo", {}, patient);
    await expect(call).rejects.toMatchObject({ code: "hypervisor_unavailable" });
  });

  test("a refusal keeps its code", async () => {
    await expect(open().call("refuse", {}, patient)).rejects.toMatchObject({
      code: "stale_epoch",
      message: "refuse: older",
    });
  });

  test("a closed worker leaves no process, and takes no call", async () => {
    const worker = open();
    const pid = await pidOf(worker);
    await worker.close();
    expect(runs(pid)).toBe(false);
    await expect(worker.call("echo", {}, patient)).rejects.toMatchObject({
      code: "hypervisor_unavailable",
    });
  });
});
