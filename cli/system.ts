import { randomUUID } from "node:crypto";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as wait } from "node:timers/promises";
import { Failure } from "./failure.ts";
import type { Out, World } from "./world.ts";

/** How long one request may take. */
const REQUEST_MS = 30_000;

/** The machine itself. */
export const systemWorld = (): World => ({
  env: process.env,
  configFolder: configFolderOf(process.env, process.platform, os.homedir()),
  stdin: {
    isTty: process.stdin.isTTY,
    text: () => text(process.stdin),
    line: askedLine,
  },
  stdout: outOf(process.stdout),
  stderr: outOf(process.stderr),
  clock: { now: () => new Date(), sleep: (ms) => wait(ms) },
  fetch: (url, init) =>
    fetch(url, { signal: AbortSignal.timeout(REQUEST_MS), ...init, redirect: "manual" }),
  newKey: () => randomUUID(),
  hostname: os.hostname(),
});

/** By the XDG base directories, and on Windows where programs keep what is theirs. */
function configFolderOf(env: NodeJS.ProcessEnv, platform: NodeJS.Platform, home: string): string {
  const xdg = env["XDG_CONFIG_HOME"];
  if (xdg !== undefined && path.isAbsolute(xdg)) return path.join(xdg, "berth");
  const usual = platform === "win32" ? (env["APPDATA"] ?? home) : path.join(home, ".config");
  return path.join(usual, "berth");
}

const outOf = (stream: NodeJS.WriteStream): Out => ({
  isTty: stream.isTTY,
  columns: stream.columns || 80,
  write: (text) => void stream.write(text),
});

/** On the terminal, whatever stdout is. What is hidden is not echoed: readline writes into nothing. */
async function askedLine(question: string, hidden: boolean): Promise<string> {
  process.stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({
    input: process.stdin,
    output: hidden ? nowhere : process.stderr,
    terminal: true,
    historySize: 0,
  });
  try {
    return await new Promise<string>((resolve, reject) => {
      reader.once("line", resolve);
      // Ctrl-C, Ctrl-D: nothing was typed.
      const broken = () => reject(new Failure("failed", "broken_off", "nothing was done"));
      reader.once("SIGINT", broken);
      reader.once("close", broken);
    });
  } finally {
    reader.close();
    if (hidden) process.stderr.write("\n");
  }
}
