import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RestoreView } from "#core/contracts/api/restores.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

/* 5, item 8: the command of an operator whose database was restored, as the runbook gives it. */

let stack: TestStack;
beforeAll(async () => {
  stack = await openStack();
});
afterAll(() => stack.close());

const PROGRAM = path.resolve("local/restored.ts");

type Ended = { code: number; stdout: string; stderr: string };
async function restored(...args: string[]): Promise<Ended> {
  const env = {
    ...process.env,
    BERTH_API_URL: stack.staff.apiUrl,
    BERTH_TOKEN: stack.staff.token,
  };
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [PROGRAM, ...args], {
      env,
    });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = Object(error);
    return { code, stdout, stderr };
  }
}

test("tells what there is to do, does it when it is told to, and does it once", async () => {
  const to = new Date(Date.now() - 60_000).toISOString();
  const dry = await restored("--to", to);
  expect(dry).toMatchObject({ code: 0, stdout: expect.stringContaining("this is a dry run") });

  const said = await restored("--to", to, "--run", "--json");
  const first = RestoreView.parse(JSON.parse(said.stdout));
  expect(first.recordedAt).not.toBeNull();
  const again = await restored("--to", to, "--run", "--json");
  expect(RestoreView.parse(JSON.parse(again.stdout)).recordedAt).toBe(first.recordedAt);
});

test("adopts no VM that no host tells of, and says why", async () => {
  const id = "0".repeat(32);
  const session = ["--checkout", "cs_test_1", "--account", `acct_${id}`, "--plan", `plan_${id}`];
  const adopted = await restored("--adopt", `vm_${id}`, ...session);
  expect(adopted).toMatchObject({ code: 1, stderr: expect.stringContaining("vm_not_found") });
});

test.each([
  [[], "--help"],
  [["--to", "yesterday"], "no instant"],
  [["--to", "2026-01-01", "--run", "--dry-run"], "not both"],
  [["--adopt", "vm_1"], "--checkout"],
  [["--what"], "--what"],
] as const)("%j is asked wrongly", async (args, says) => {
  expect(await restored(...args)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(says),
  });
});

test("--help says how it is asked", async () => {
  expect(await restored("--help")).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("--run"),
  });
});
