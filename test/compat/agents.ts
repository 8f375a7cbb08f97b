import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { z } from "zod";
import type { CompatPlane } from "./plane.ts";

const PROGRAMS = {
  /** The agent of protocol 1, as it was shipped. */
  old: path.join(import.meta.dirname, "agent-protocol-1.mjs"),
  /** The agent of before releases, as it was shipped. */
  before: path.join(import.meta.dirname, "agent-before-releases.mjs"),
  /** This source's. */
  new: path.join(import.meta.dirname, "../../host-agent/main.ts"),
  /** This source's, with a field more in all that it sends. */
  later: path.join(import.meta.dirname, "later-agent.ts"),
};
export type AgentOf = keyof typeof PROGRAMS;

const Line = z.looseObject({ level: z.string(), event: z.string() });

/** An agent as a process of its own, on the plane's one host. */
export function startAgent(plane: CompatPlane, of: AgentOf) {
  const at = (name: string) => path.join(plane.folder, name);
  const args = ["run", "--api", plane.apiUrl, "--state-dir", at("state"), "--driver", "simulated"];
  args.push("--driver-option", `world=${at("world")}`, "--driver-option", "delays=off");
  args.push("--join-token-file", at("token"));
  const child = spawn(process.execPath, [PROGRAMS[of], ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const closed = once(child, "close");
  return {
    /** Its complaints, but for the doorbell, at which nothing listens, and VMs that it was right to refuse. */
    errors(): readonly Record<string, unknown>[] {
      const lines = out.split("\n").filter((line) => line.startsWith("{"));
      return lines
        .map((line) => Line.parse(JSON.parse(line)))
        .filter(({ level }) => level === "error")
        .filter(({ event }) => event !== "doorbell_failed" && event !== "desired_vm_refused");
    },
    stderr: () => err,
    alive: () => child.exitCode === null && child.signalCode === null,
    /** SIGKILL leaves it no time to put anything in order. */
    async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
      child.kill(signal);
      await closed;
    },
  };
}
