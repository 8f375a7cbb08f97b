import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { PROVIDER_EVENTS } from "#core/billing/payments.ts";

const SCRIPT = path.resolve(import.meta.dirname, "../../scripts/check-docs.ts");

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), "berth-docs-"));
  await mkdir(path.join(root, "core/vms"), { recursive: true });
  await writeFile(path.join(root, "core/vms/vm.ts"), "");
  await writeFile(path.join(root, "package.json"), '{"scripts":{"demo":"node demo.ts"}}');
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function check(readme: string): Promise<{ ok: boolean; said: string }> {
  await writeFile(path.join(root, "README.md"), readme);
  const ran = spawnSync(process.execPath, [SCRIPT, root], { encoding: "utf8" });
  return { ok: ran.status === 0, said: ran.stderr };
}

it("accepts pages that are true of the tree", async () => {
  const checked = await check(
    [
      "# What it is",
      "[the VM](core/vms/vm.ts), [above](#what-it-is), [elsewhere](https://example.com/x)",
      "`core/vms/vm.ts`, `#core/vms/vm.ts`, `vm.ts`, `core/vms/`, `core/*/vm.ts`, `npm run demo`",
      "`/v1/orders`, `vms:read`, `.local/stack.json`, `dist/api.mjs`, `core/<area>/`",
    ].join("\n"),
  );
  expect(checked).toEqual({ ok: true, said: "" });
});

it.each([
  ["[gone](core/gone.ts)", "the link core/gone.ts leads nowhere"],
  ["[out](../elsewhere.md)", "the link ../elsewhere.md leads out of the repository"],
  ["[part](#no-such-part)", "README.md has no heading #no-such-part"],
  ["`core/gone.ts`", "the path core/gone.ts does not exist"],
  ["`#core/gone.ts`", "the path #core/gone.ts does not exist"],
  ["`gone.ts`", "no file is named gone.ts"],
  ["`core/gone/*.ts`", "the path core/gone/*.ts does not exist"],
  ["`node core/gone.ts --all`", "the path core/gone.ts does not exist"],
  ["`npm run gone`", "there is no npm script gone"],
])("refuses %s", async (line, problem) => {
  const checked = await check(`# What it is\n\n${line}\n`);
  expect(checked).toEqual({ ok: false, said: `README.md:3: ${problem}\n` });
});

it("holds that a runbook's commands name the test that runs them, or say why none does", async () => {
  await mkdir(path.join(root, "docs/runbooks"), { recursive: true });
  await mkdir(path.join(root, "test"));
  await writeFile(path.join(root, "test/runs.ts"), "blocksRunBy(import.meta.filename)");
  await writeFile(path.join(root, "test/other.ts"), "");
  const block = (fence: string) => `\`\`\`${fence}\nls\n\`\`\`\n`;
  await writeFile(
    path.join(root, "docs/runbooks/disk.md"),
    [
      "sh run=test/runs.ts",
      'sh not-run="needs AWS"',
      "yaml",
      "sh",
      "",
      "sql run=test/other.ts",
      "powershell run=test/gone.ts",
      'sh not-run=""',
    ]
      .map(block)
      .join(""),
  );
  const { said } = await check("# What it is\n\n```sh\nls\n```\n");
  const neither = 'neither run=<its test> nor not-run="<why>"';
  expect(said).toBe(
    [
      `10: ${neither}`,
      `13: ${neither}`,
      "16: test/other.ts runs no blocks of runbooks",
      "19: test/gone.ts runs no blocks of runbooks",
      `22: ${neither}`,
    ]
      .map((problem) => `docs/runbooks/disk.md:${problem}\n`)
      .join(""),
  );
});

it("holds the events of the webhook endpoint against PROVIDER_EVENTS, both ways", async () => {
  await mkdir(path.join(root, "docs/runbooks"), { recursive: true });
  const listed = PROVIDER_EVENTS.filter((type) => type !== "invoice.paid");
  await writeFile(
    path.join(root, "docs/runbooks/deploy-aws.md"),
    [...listed, "invoice.sent"].map((type) => `\`${type}\``).join(", "),
  );
  const { said } = await check("# What it is\n");
  expect(said).toBe(
    "docs/runbooks/deploy-aws.md: the webhook's list lacks invoice.paid\n" +
      "docs/runbooks/deploy-aws.md: the webhook does not ask for invoice.sent\n",
  );
});

it("holds the table of libraries against package.json, both ways", async () => {
  await mkdir(path.join(root, "docs/adr"), { recursive: true });
  await writeFile(
    path.join(root, "package.json"),
    '{"dependencies":{"zod":"4.0.0"},"devDependencies":{"knip":"6.0.0"}}',
  );
  await writeFile(
    path.join(root, "docs/adr/0008-libraries.md"),
    "| `zod` | 3.0.0 | checks |\n| `knip` | 6.0.0 | finds |\n",
  );
  const { said } = await check("# What it is\n");
  expect(said).toBe(
    "docs/adr/0008-libraries.md: no row for zod 4.0.0\n" +
      "docs/adr/0008-libraries.md: zod 3.0.0 is not installed\n",
  );
});
