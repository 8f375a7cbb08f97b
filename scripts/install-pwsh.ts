/**
 * Puts a PowerShell 7 into `.cache/pwsh`, for the tests that run the real `agent.ps1` (`npm run pwsh:install`).
 * Idempotent: one that already answers is left alone.
 *
 * Preferred is Microsoft's own .NET tool `PowerShell`. Some package mirrors lack it and have only its engine, the
 * package `System.Management.Automation`; then the small console in `test/hyperv/pwsh-host` is built around that
 * engine. Parser, parameter binding, type conversion and errors are Microsoft's either way. What the engine alone
 * lacks are the cmdlets of Microsoft.PowerShell.Utility and .Management, which `agent.ps1` does not use.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const target = path.join(root, ".cache/pwsh");
const build = path.join(root, ".cache/pwsh-build");
const executable = path.join(target, "pwsh");
const project = path.join(root, "test/hyperv/pwsh-host/pwsh-host.csproj");

try {
  const present = version();
  if (present !== undefined) say(`PowerShell ${present} is already in .cache/pwsh`);
  else if (!hasSdk())
    stop(
      "No .NET SDK on this machine (`dotnet` not found): install one, or put `pwsh` on the PATH.",
    );
  else install();
} catch (error) {
  stop(error instanceof Error ? error.message : String(error));
}

function install(): void {
  rmSync(target, { recursive: true, force: true });
  try {
    installTool();
  } catch (error) {
    const [why] = (error instanceof Error ? error.message : String(error)).split("\n", 1);
    say(
      `The .NET tool \`PowerShell\` cannot be had (${why}): building a console around its engine.`,
    );
    rmSync(target, { recursive: true, force: true });
    buildEngine();
  }
  const installed = version();
  if (installed === undefined) throw new Error("PowerShell was installed, but does not run.");
  say(`PowerShell ${installed} is in .cache/pwsh`);
}

/**
 * The tool's own launcher runs PowerShell as a child, which would outlive the launcher's death: the tests kill. So
 * `pwsh` here is a script that becomes PowerShell. It also goes without the JIT's startup profile, one file for all
 * of a user's PowerShells: one that is killed while it writes leaves a file at which every later one crashes in
 * libcoreclr (exit code 139), seen with .NET 10.0.12.
 */
function installTool(): void {
  const folder = path.join(target, "tool");
  dotnet(["tool", "install", "PowerShell", "--tool-path", folder]);
  const program = readdirSync(folder, { recursive: true, encoding: "utf8" }).find((file) =>
    file.endsWith(path.join("unix", "pwsh.dll")),
  );
  if (program === undefined) throw new Error("the tool holds no unix/pwsh.dll");
  const script = [
    "#!/bin/sh",
    "export DOTNET_MultiCoreJitNoProfileGather=1 DOTNET_MultiCoreJitMinNumCpus=7fffffff",
    // What it compiles for once it has run long, the tests do not live to see.
    "export DOTNET_TieredPGO=0",
    `exec dotnet "$(dirname "$0")/tool/${program}" "$@"`,
  ];
  writeFileSync(executable, `${script.join("\n")}\n`, { mode: 0o755 });
  if (version() === undefined) throw new Error("it was installed, but does not run");
}

/** Compiled ahead of time where the compiler's package can be had: it starts in a third of the time. */
function buildEngine(): void {
  const publish = ["publish", project, "-c", "Release", "--artifacts-path", build, "-o"];
  const staged = path.join(build, "staged");
  rmSync(build, { recursive: true, force: true });
  try {
    const rid = `${process.platform === "win32" ? "win" : process.platform === "darwin" ? "osx" : "linux"}-${process.arch}`;
    dotnet([
      ...publish,
      staged,
      "-r",
      rid,
      "--self-contained",
      "false",
      "-p:PublishReadyToRun=true",
    ]);
  } catch {
    rmSync(build, { recursive: true, force: true });
    dotnet([...publish, staged]);
  }
  mkdirSync(path.dirname(target), { recursive: true });
  renameSync(staged, target);
  rmSync(build, { recursive: true, force: true });
}

/** The engine's own version, or undefined where nothing there runs a script. */
function version(): string | undefined {
  if (!existsSync(executable)) return undefined;
  const probe = path.join(root, ".cache", `pwsh-probe-${process.pid}.ps1`);
  writeFileSync(probe, "[Console]::Out.Write($PSVersionTable.PSVersion.ToString())\n");
  try {
    return execFileSync(executable, ["-NoProfile", "-NonInteractive", "-File", probe], {
      encoding: "utf8",
      timeout: 60_000,
    });
  } catch {
    return undefined;
  } finally {
    rmSync(probe, { force: true });
  }
}

function hasSdk(): boolean {
  try {
    return dotnet(["--list-sdks"]).trim() !== "";
  } catch {
    return false;
  }
}

function dotnet(args: readonly string[]): string {
  return execFileSync("dotnet", args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, DOTNET_NOLOGO: "1", DOTNET_CLI_TELEMETRY_OPTOUT: "1" },
  });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function stop(line: string): never {
  process.stderr.write(`${line}\n`);
  process.exit(1);
}
