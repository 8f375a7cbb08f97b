#!/usr/bin/env node
import { runBerth } from "./run.ts";
import { systemWorld } from "./system.ts";

// Whoever reads has had enough, as `| head` has: that is no fault.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

process.exitCode = await runBerth(process.argv.slice(2), systemWorld());
