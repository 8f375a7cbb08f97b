/**
 * `npm run test:hyperv [-- --json] [-- name…]`: runs the Hyper-V tests through a real PowerShell (installed first where
 * it can be), then times each operation through it, and tells both. Names limit the tests to files that hold them.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { aDesiredVm } from "../drivers/builders.ts";

const repository = path.resolve(import.meta.dirname, "../..");
const { values, positionals } = parseArgs({
  options: { json: { type: "boolean", default: false } },
  allowPositionals: true,
});

const Report = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  testResults: z.array(
    z.object({
      assertionResults: z.array(
        z.object({
          fullName: z.string(),
          status: z.string(),
          failureMessages: z.array(z.string()).default([]),
          meta: z.object({ figures: z.record(z.string(), z.number()).optional() }).optional(),
        }),
      ),
    }),
  ),
});
type Timing = { p50_ms: number; max_ms: number };
const ROUNDS = 10;

const installed = install();
const tests = runTests();
// Imported late: it looks for PowerShell when it is loaded.
const { noPwsh } = await import("./world.ts");
const operations = noPwsh === null ? await time() : {};
tell();
const missing = whyMissing();
if (missing !== null) process.stderr.write(`${missing}\n`);
process.exitCode = tests.failed > 0 || missing !== null ? 1 : 0;

/** In CI a machine with a .NET SDK is there to run these tests: that they were skipped is then no success. */
function whyMissing(): string | null {
  if (process.env["CI"] !== "true" || noPwsh === null || !hasSdk()) return null;
  return `FAILED: a .NET SDK is here, and PowerShell could not be had, so that the tests did not run: ${installed}`;
}

function hasSdk(): boolean {
  const asked = spawnSync("dotnet", ["--list-sdks"], { encoding: "utf8" });
  return asked.status === 0 && asked.stdout.trim() !== "";
}

function install(): string {
  try {
    const script = path.join(repository, "scripts/install-pwsh.ts");
    return execFileSync(process.execPath, [script], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }).trim();
  } catch (error) {
    // The tests that need it then say that they were skipped.
    return error instanceof Error && "stderr" in error
      ? String(error.stderr).trim()
      : String(error);
  }
}

function runTests() {
  const folder = mkdtempSync(path.join(tmpdir(), "berth-report-"));
  const file = path.join(folder, "report.json");
  const vitest = path.join(repository, "node_modules/vitest/vitest.mjs");
  const paths = positionals.length > 0 ? positionals : ["test/hyperv"];
  const output = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  // Our caller's own report is what this program prints: vitest must not take it for its own (vitest.config.ts).
  const { BERTH_TEST_REPORT: _, ...env } = process.env;
  // What vitest shows goes to standard error, so that --json prints nothing but JSON.
  const ran = spawnSync(
    process.execPath,
    // Two files at once: each waits for a PowerShell most of its time.
    [vitest, "run", "--project", "hyperv", "--maxWorkers=2", ...paths, ...output],
    {
      cwd: repository,
      env,
      stdio: ["ignore", 2, 2],
    },
  );
  if (ran.error) throw ran.error;
  const report = Report.parse(JSON.parse(readFileSync(file, "utf8")));
  rmSync(folder, { recursive: true });
  const all = report.testResults.flatMap((result) => result.assertionResults);
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests,
    skipped: report.numPendingTests,
    failures: all.filter((one) => one.status === "failed").map((one) => one.fullName),
    figures: Object.fromEntries(all.flatMap((one) => Object.entries(one.meta?.figures ?? {}))),
  };
}

/** Each operation on a VM of its own, through one warm worker. The stand-in's cmdlets are part of the time. */
async function time(): Promise<Record<string, Timing>> {
  const { aWorld } = await import("./world.ts");
  const world = await aWorld({ GuestBootMs: 0 });
  const driver = world.open();
  const took = new Map<string, number[]>();
  const of = async (operation: string, call: () => Promise<unknown>) => {
    const from = performance.now();
    await call();
    took.set(operation, [...(took.get(operation) ?? []), performance.now() - from]);
  };
  for (let n = 0; n < ROUNDS + 1; n++) {
    if (n === 1) took.clear(); // the first round warms up
    const vm = aDesiredVm({ image: world.image });
    const id = crypto.randomUUID();
    const size = { vcpus: 2, memoryMib: 256, diskGib: 2 };
    await of("facts", () => driver.facts());
    await of("create", () => driver.create(vm));
    await of("start", () => driver.start(vm));
    await of("list", () => driver.list());
    await of("counters", () => driver.counters());
    await of("reset", () => driver.once(vm, "reset"));
    await of("reboot", () => driver.once(vm, "reboot"));
    await of("stop, graceful", () => driver.stop(vm, "graceful"));
    await of("stop, firm", () => driver.stop(vm, "firm"));
    await of("resize", () => driver.resize({ ...vm, size }));
    await of("checkpoint", () => driver.checkpoint(vm, id));
    await of("revert", () => driver.revert(vm, id));
    await of("delete checkpoint", () => driver.deleteCheckpoint(vm, id));
    await of("erase seed", () => driver.eraseSeed(vm));
    await of("destroy", () => driver.destroy(vm));
  }
  await world.close();
  return Object.fromEntries(
    [...took].map(([operation, times]) => {
      const sorted = times.toSorted((a, b) => a - b).map((ms) => Math.round(ms * 10) / 10);
      return [
        operation,
        { p50_ms: sorted[Math.floor(sorted.length / 2)] ?? 0, max_ms: sorted.at(-1) ?? 0 },
      ];
    }),
  );
}

function tell(): void {
  const { passed, failed, skipped, failures, figures } = tests;
  if (values.json) {
    const answer = {
      powershell: installed,
      on_windows: false,
      passed,
      failed,
      skipped,
      failures,
      figures,
      operations,
    };
    process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
    return;
  }
  const rows = Object.entries(operations).map(
    ([operation, { p50_ms, max_ms }]) =>
      `  ${operation.padEnd(20)} p50 ${String(p50_ms).padStart(7)} ms   max ${String(max_ms).padStart(7)} ms`,
  );
  const facts = Object.entries(figures).map(([name, figure]) => `  ${name}: ${figure}`);
  const lines = [
    installed,
    "Against a stand-in module; never yet run on Windows.",
    ...rows,
    ...facts,
    ...failures,
  ];
  process.stdout.write(
    `${lines.join("\n")}\n${passed} passed, ${failed} failed, ${skipped} skipped\n`,
  );
}
