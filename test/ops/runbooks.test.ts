import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { EXAMPLE_SSH_KEY, until } from "#local/client.ts";
import { freePorts } from "#local/ports.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { blocksRunBy } from "#test/harness/runbooks.ts";
import { aFolder } from "#test/harness/stack.ts";

/*
 * 5 item 9: the page of the local stack, and what staff ask the API for in others, typed into a shell as it stands there, with
 * a home of its own. Needs bash, curl and jq.
 */

const ROOT = path.resolve(import.meta.dirname, "../..");
const PAGE = "docs/runbooks/local-stack.md";
const all = blocksRunBy(import.meta.filename);
const blocks = all.filter(({ page }) => page === PAGE);
const ofStaff = all.filter(({ page }) => page !== PAGE);
const setUp = blocks[0]?.text ?? "";

let folder: string;
let stop: () => Promise<unknown>;
beforeAll(async () => {
  folder = await aFolder();
  await mkdir(path.join(folder, ".ssh"));
  await writeFile(path.join(folder, ".ssh/id_ed25519.pub"), `${EXAMPLE_SSH_KEY}\n`);
  const started = spawn(process.execPath, [path.join(ROOT, "local/start.ts")], {
    env: {
      ...process.env,
      BERTH_LOCAL_DIR: path.join(folder, ".local"),
      BERTH_PORT: String((await freePorts()).api),
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(started, "exit");
  stop = () => {
    started.kill("SIGINT");
    return ended;
  };
  let said = "";
  started.stdout.on("data", (piece: Buffer) => (said += piece.toString()));
  await until("the stack", PATIENCE_MS, async () => {
    if (started.exitCode !== null) throw new Error(`it ended: ${said}`);
    return said.includes("Ctrl-C stops everything") ? true : undefined;
  });
});
afterAll(async () => {
  await stop();
  await rm(folder, { recursive: true, force: true });
});

const typed = async (script: string): Promise<string> =>
  (
    await promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], {
      cwd: folder,
      env: { ...process.env, HOME: folder },
    })
  ).stdout;

const REFUSED = /"(code|error)":/;

describe("the page of the local stack", () => {
  test("orders a VM and pays for it", async () => {
    const said = await typed(blocks.map(({ text }) => text).join("\n"));
    const [paid = "", ...order] = said.split("\n");
    expect(paid).toBe("303");
    expect(JSON.parse(order.join("\n"))).toMatchObject({ hostname: "web-1.example.com" });
  });
});

describe("what staff ask for", () => {
  /** What the pages leave to the reader, of the order that the test before has placed. */
  const ids = `${setUp}
TOKEN=$(jq -r .tokens.staff $S)
HOST=$(get /staff/v1/hosts | jq -r '.items[0].id')
LOCATION=$(get /v1/locations | jq -r '.items[0].id')
IMAGE=$(get /v1/images | jq -r '.items[0].id')
OWNER=$(jq -r .tokens.customer $S)
vm() { curl -s -H "authorization: Bearer $OWNER" "$API/v1/vms" | jq -er '.items[0].id'; }
until VM=$(vm); do sleep 0.1; done
ACTION=$(get "/staff/v1/vms/$VM" | jq -r '.actions[0].id')
`;
  test.each(ofStaff)("$at is understood and answered", async ({ text }) => {
    const asked = text.replaceAll("<of the file>", "ab".repeat(32));
    const answer: unknown = JSON.parse(
      await typed(`${ids}\n${asked.replaceAll("curl ", "curl -s ")}`),
    );
    const { code } = z.object({ code: z.string().optional() }).parse(answer);
    // A creation is not called off, whether it is under way still or not; all else is done.
    const refused = ["action_not_cancellable", "action_ended"];
    expect(text.includes("/cancel") ? refused : [undefined]).toContain(code);
  });
});

describe("the table of what goes wrong", () => {
  test("makes go wrong what it says, and is answered", async () => {
    const page = await readFile(path.join(ROOT, PAGE), "utf8");
    const wholly = [...page.matchAll(/`((?:local_post|curl) [^`…]+)`/g)].map(([, line]) => line);
    expect(wholly.length).toBeGreaterThanOrEqual(5);
    for (const line of wholly) expect(await typed(`${setUp}\n${line}`)).not.toMatch(REFUSED);
    expect(await typed(`${setUp}\nlocal_post $STRIPE/_local/faults '{"kind":"none"}'`)).toMatch(
      REFUSED,
    );
  });
});
