#!/usr/bin/env node
// A PowerShell that misbehaves as its environment says, for the tests of the wire. It ignores its arguments.
import { createInterface } from "node:readline";

const manner = process.env.FAKE_MANNER;
const say = (answer) =>
  process.stdout.write(`berth1 ${Buffer.from(JSON.stringify(answer)).toString("base64")}\n`);

process.stdout.write("WARNING: a module says hello\r\n");
if (manner === "dies at start") {
  process.stderr.write("no such module");
  process.exit(3);
}
for await (const line of createInterface({ input: process.stdin })) {
  const { id, op } = JSON.parse(Buffer.from(line.slice("berth1 ".length), "base64").toString());
  if (op === "configure") {
    if (manner === "is refused at start")
      say({
        id,
        ok: false,
        error: { code: "driver_failed", detail: "no rights", errorId: "AccessDenied" },
      });
    else say({ id, ok: true, value: {} });
  } else if (op === "hang") continue;
  else if (op === "die") process.exit(1);
  else if (op === "garbage") process.stdout.write("berth1 !!!not base64 of JSON!!!\n");
  else if (op === "noise") {
    process.stdout.write("\u0000\ufffd PROGRESS 12%\n\nberth2 e30=\n");
    say({ id: id - 1, ok: true, value: "an answer to another question" });
    say({ id, ok: true, value: "after noise" });
  } else if (op === "split") {
    const whole = `berth1 ${Buffer.from(JSON.stringify({ id, ok: true, value: "whole" })).toString("base64")}\r\n`;
    for (const [n, part] of [whole.slice(0, 9), whole.slice(9, 20), whole.slice(20)].entries())
      setTimeout(() => process.stdout.write(part), n * 5);
  } else if (op === "refuse")
    say({ id, ok: false, error: { code: "stale_epoch", detail: "older", errorId: null } });
  else if (op === "unknown code")
    say({ id, ok: false, error: { code: "made up", detail: "x", errorId: null } });
  else say({ id, ok: true, value: { op, pid: process.pid } });
}
