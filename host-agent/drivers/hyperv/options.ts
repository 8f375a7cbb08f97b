import path from "node:path";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { Clock, Log } from "#core/ports.ts";
import type { InstallationId } from "../driver.ts";
import type { WorkerOptions } from "./powershell.ts";

export type HypervOptions = Readonly<{
  /** The folder that holds `vms`, `trash`, `staging` and `moves`: one volume, and Berth's alone. */
  root: string;
  /** The folder of the images, `<file>.vhdx`, read-only. */
  images: string;
  /** The virtual switch that VMs are connected to. */
  switch: string;
  clock: Clock;
  log: Log;
  agentVersion: string;
  /** Lets a VM shrink to this percentage of its memory while it needs no more; null: memory is static. */
  dynamicMemoryMinimumPercent?: number | null;
  /** What to run; the defaults are those of a Windows host. Tests give PowerShell 7 and a stand-in module. */
  powershell?: Readonly<{
    executable?: string;
    script?: string;
    module?: string;
    env?: Readonly<Record<string, string>>;
    /** After so long without a call it is ended, until the next one; left out: it stays. */
    idleMs?: number;
  }>;
  /**
   * This host and the others have been joined for Hyper-V's own live migration: `Enable-VMMigration`, and an account of its service that
   * may (constrained delegation). Nobody can tell that from here.
   */
  liveMoves?: boolean;
  accelerator?: HostFacts["accelerator"];
  /** Left out: it knows none. */
  installation?: InstallationId;
  timeouts?: Partial<Timeouts>;
}>;

/** Milliseconds. Generous: a cmdlet that hangs, hangs for good. */
export type Timeouts = Readonly<{
  startMs: number;
  readMs: number;
  jobMs: number;
  checkpointMs: number;
  copyMs: number;
}>;
export const TIMEOUTS: Timeouts = {
  startMs: 60_000,
  readMs: 60_000,
  jobMs: 180_000,
  // Restoring and merging move data.
  checkpointMs: 900_000,
  // A disk of 1 TB at 50 MB/s.
  copyMs: 6 * 3_600_000,
};

export function workerOptions(options: HypervOptions): WorkerOptions {
  const windows = process.env["SystemRoot"] ?? "C:\\Windows";
  const powershell = options.powershell ?? {};
  return {
    executable:
      powershell.executable ??
      // Not through the PATH; and not PowerShell 7, where older Hyper-V modules give lifeless copies of objects.
      path.win32.join(windows, "System32", "WindowsPowerShell", "v1.0", "powershell.exe"),
    script: powershell.script ?? path.join(import.meta.dirname, "agent.ps1"),
    module: powershell.module ?? "Hyper-V",
    env: powershell.env ?? {},
    config: {
      root: options.root,
      images: options.images,
      switch: options.switch,
      dynamicMemoryMinimumPercent: options.dynamicMemoryMinimumPercent ?? null,
    },
    idleMs: powershell.idleMs,
    startTimeoutMs: options.timeouts?.startMs ?? TIMEOUTS.startMs,
    clock: options.clock,
    log: options.log,
  };
}
