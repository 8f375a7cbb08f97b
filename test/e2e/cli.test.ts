import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { bundleCli } from "#cdk/bundle/bundle.ts";
import { EXAMPLE_SSH_KEY, until } from "#local/client.ts";
import { LOCAL_PASSWORD } from "#local/seed.ts";
import { aCliWorld, type CliWorld } from "#test/harness/cli-world.ts";
import { pay } from "#test/harness/customer.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";

/*
 * `berth` on a whole stack (6a item 7): the program itself where it ends as a process, and otherwise the same code in this one,
 * which costs a tenth. Time is the stack's: what is waited for is waited for really, and shortly.
 */

let stack: TestStack;
let world: CliWorld;
let keyFile: string;
beforeAll(async () => {
  stack = await openStack();
  world = await aCliWorld((url, init) => fetch(url, { ...init, redirect: "manual" }), {
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, 20))),
  });
  keyFile = path.join(stack.folder, "key.pub");
  await writeFile(keyFile, EXAMPLE_SSH_KEY);
  for (const who of ["customer", "staff"] as const)
    await world.run(["context", "add", who, stack.apiUrl], { piped: stack.tokens[who] });
});
afterAll(async () => {
  await world.close();
  await stack.close();
});

const as = (who: "customer" | "staff", ...words: readonly string[]) =>
  world.run([...words, "--context", who]);
/** The answer as data; the command has to end well. */
async function answer<T extends z.ZodType>(
  schema: T,
  who: "customer" | "staff",
  ...words: readonly string[]
): Promise<z.output<T>> {
  const ran = await as(who, ...words, "--json", "--quiet");
  expect(ran).toMatchObject({ code: 0, stderr: "" });
  return schema.parse(JSON.parse(ran.stdout));
}

const Placed = z.object({ order: z.object({ id: z.string() }), checkoutUrl: z.string() });
const ordering = (hostname: string, ...more: readonly string[]) => {
  const what = ["--plan", "xs", "--image", "tiny-linux", "--location", "local"];
  return ["order", "create", hostname, ...what, ...more];
};
const order = (hostname: string, ...more: readonly string[]) =>
  answer(Placed, "customer", ...ordering(hostname, "--ssh-key", keyFile, ...more));
const Vm = z.object({ id: z.string(), status: z.string(), hostname: z.string() });
const Ended = z.object({ id: z.string(), type: z.string(), status: z.literal("success") });

/** The program as it is handed out, one file with nothing beside it, as a process of its own. */
const berth = (env: NodeJS.ProcessEnv, ...words: readonly string[]) =>
  new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      [path.join(stack.folder, "cli/berth.mjs"), ...words],
      { env, cwd: stack.folder },
      (_, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    );
    child.stdin?.end();
  });

describe("a customer and a member of staff", () => {
  test("order, pay, watch, look, act and delete, each by the names that they know", async () => {
    const placed = await order("shop-1.example.com", "--idempotency-key", "shop-1-once");
    // Sent again by a script that lost the answer.
    const again = await order("shop-1.example.com", "--idempotency-key", "shop-1-once");
    expect(again.order.id).toBe(placed.order.id);
    await pay(placed.checkoutUrl);
    const Active = z.object({ state: z.literal("active"), vmId: z.string() });
    const active = await answer(Active, "customer", "order", "watch", placed.order.id);

    const listed = await answer(z.object({ items: z.array(Vm) }), "customer", "vm", "list");
    expect(listed.items).toMatchObject([{ id: active.vmId, hostname: "shop-1.example.com" }]);
    expect((await as("customer", "vm", "list")).stdout).toContain(
      `${active.vmId}\tshop-1.example.com\trunning\t`,
    );
    await answer(Ended, "customer", "vm", "power", "shop-1.example.com", "reboot", "--watch");
    await as("customer", "vm", "rename", active.vmId, "the shop");
    await answer(Ended, "customer", "vm", "power", "the-shop", "shutdown", "--watch");
    const off = await answer(Vm, "customer", "vm", "show", "the shop");
    expect(off.status).toBe("off");
    await answer(Ended, "customer", "vm", "power", active.vmId, "start", "--watch");
    const Quoted = z.object({ quote: z.object({ id: z.string() }) });
    const { quote } = await answer(
      Quoted,
      "customer",
      "vm",
      "resize",
      active.vmId,
      "--plan",
      "s",
      "--dry-run",
    );
    await answer(Ended, "customer", "vm", "resize", active.vmId, "--quote", quote.id, "--watch");
    const options = await as("customer", "vm", "resize-options", active.vmId);
    expect(options.stdout).toMatch(/^XS\t2\.00 USD a month\t-3\.00 USD\t.*disk_shrinks/m);
    const smaller = await as("customer", "vm", "resize", active.vmId, "--plan", "xs");
    expect(smaller).toMatchObject({ code: 5 });
    const invoices = await as("customer", "invoice", "list");
    expect(invoices.stdout).toContain("paid\t2.00 USD\t2.00 USD");
    expect((await as("customer", "vm", "usage", active.vmId, "--by", "day")).stdout).toContain(
      "in all",
    );

    await as("customer", "vm", "protect", active.vmId);
    expect((await as("customer", "vm", "delete", active.vmId, "--yes")).stderr).toContain(
      "next: berth vm unprotect",
    );
    await as("customer", "vm", "unprotect", active.vmId);
    const Forced = z.object({ done: z.literal(true) });
    const why = ["abuse", "--reason", "It sends spam.", "--yes"];
    await answer(Forced, "staff", "vm", "suspend", active.vmId, ...why);
    expect((await as("customer", "vm", "show", active.vmId)).stdout).toContain(
      "suspended for\tabuse\n",
    );
    await answer(Forced, "staff", "vm", "unsuspend", active.vmId, ...why);
    await as("customer", "vm", "cancel", active.vmId, "--yes");
    await as("customer", "vm", "uncancel", active.vmId);

    const found = await as("staff", "search", "shop-1");
    expect(found.stdout).toContain(`vm\t${active.vmId}\tshop-1.example.com\thostname`);
    expect((await as("staff", "why", "shop-1.example.com")).stdout).toContain(
      "Nothing is under way.",
    );
    const host = (await as("staff", "host", "list", "--quiet", "--limit", "1")).stdout.trim();
    expect((await as("staff", "why", host)).stdout).toContain("It gets VMs.");
    await as("staff", "account", "note", "ada@customer.example", "Called on Monday.");
    const account = await as("staff", "account", "show", "ada@customer.example");
    expect(account.stdout).toContain("Called on Monday.");
    expect(account.stdout).toContain(active.vmId);
    const audit = await as("staff", "audit", "list", "--subject", active.vmId);
    expect(audit.stdout).toContain("\tvm.reboot\t");
    const filtered = await as(
      "staff",
      "vm",
      "list",
      "--account",
      "ada@customer.example",
      "--sort",
      "hostname",
      "--quiet",
    );
    expect(filtered.stdout).toBe(`${active.vmId}\n`);
    const actions = await as("staff", "action", "list", "--vm", active.vmId, "--type", "reboot");
    expect(actions.stdout).toContain("reboot\tsuccess");

    await answer(Ended, "customer", "vm", "delete", "the-shop", "--yes", "--watch");
    expect(await as("customer", "vm", "show", "the-shop")).toMatchObject({ code: 4 });
  });

  test("log in with a password: what is kept is a token that can be revoked", async () => {
    const ran = await world.run(["login", stack.apiUrl, "--name", "typed"], {
      typed: ["ada@customer.example", LOCAL_PASSWORD],
    });
    expect(ran).toMatchObject({ code: 0 });
    const tokens = await world.run(["token", "list", "--context", "typed"]);
    const [id = ""] =
      tokens.stdout
        .split("\n")
        .find((line) => line.includes("berth on desk-1"))
        ?.split("\t") ?? [];
    expect(await world.run(["token", "revoke", id, "--context", "typed", "--yes"])).toMatchObject({
      code: 0,
    });
    expect(await world.run(["whoami", "--context", "typed"])).toMatchObject({ code: 3 });
    const wrong = await world.run(["login", stack.apiUrl, "--email", "ada@customer.example"], {
      typed: ["not the password"],
    });
    expect(wrong).toMatchObject({ code: 3 });
  });

  test("bring VMs of one plan to another, and look how far that is (6b 5)", async () => {
    const placed = await order("migrated-1.example.com");
    await pay(placed.checkoutUrl);
    await answer(
      z.object({ state: z.literal("active") }),
      "staff",
      "order",
      "watch",
      placed.order.id,
    );
    const Planned = z.object({ id: z.string(), hash: z.string(), state: z.string() });
    const words = ["plan-migration", "create", "--from", "xs", "--to", "s", "--reason", "A test."];
    const asked = [...words, "--announce-days", "30", "--max-parallel", "2"];
    const dry = await answer(Planned, "staff", ...asked, "--dry-run");
    expect(dry.state).toBe("planned");
    const stale = await as("staff", ...asked, "--hash", "0".repeat(64));
    expect(stale).toMatchObject({ code: 5 });
    const begun = await answer(Planned, "staff", ...asked, "--hash", dry.hash);
    expect(begun.id).toBe(dry.id);
    const listed = await as("staff", "plan-migration", "list");
    expect(listed.stdout).toContain(dry.id);
    expect((await as("staff", "plan-migration", "show", dry.id)).stdout).toContain("30 days");
    const vms = await as("staff", "plan-migration", "show", dry.id, "--vms", "left_out");
    expect(vms).toMatchObject({ code: 0 });
    for (const [verb, code] of [
      ["retry", 0],
      ["stop", 0],
      ["resume", 5],
    ] as const)
      expect(
        await as("staff", "plan-migration", verb, dry.id, ...(verb === "stop" ? ["--yes"] : [])),
      ).toMatchObject({ code });
    const watched = await as("staff", "plan-migration", "show", dry.id, "--watch", "--quiet");
    expect(watched).toMatchObject({ code: 0 });
  });

  test("look at a move that cannot be yet, and are told all that stands against it (6b 3)", async () => {
    const placed = await order("moving-1.example.com");
    await pay(placed.checkoutUrl);
    const Active = z.object({ state: z.literal("active") });
    await answer(Active, "staff", "order", "watch", placed.order.id);
    const words = ["vm", "migrate", "moving-1.example.com", "--reason", "A test."];
    const looked = await as("staff", ...words, "--dry-run");
    expect(looked).toMatchObject({ code: 5 });
    expect(looked.stdout).toMatch(/^first boot\tno\tits first boot is not over/m);
    expect(await as("staff", ...words, "--yes")).toMatchObject({ code: 5 });
    const none = "move_0199f0a2b3c47d5e8f90a1b2c3d4e5f6";
    expect(await as("staff", "move", "show", none)).toMatchObject({ code: 4 });
    const stop = ["move", "stop", none, "--reason", "A test.", "--yes"];
    expect(await as("staff", ...stop)).toMatchObject({ code: 4 });
  });

  test("save a card, change it in the portal, and order with it, without a page (7a 2)", async () => {
    const Page = z.object({ url: z.string() });
    const Card = z.object({ paymentMethod: z.object({ last4: z.string() }).nullable() });
    const last4In = (wanted: string) =>
      until(`card ${wanted}`, PATIENCE_MS, async () => {
        const { paymentMethod } = await answer(Card, "customer", "billing", "show");
        return paymentMethod?.last4 === wanted ? paymentMethod : undefined;
      });
    const page = await answer(Page, "customer", "billing", "card");
    await pay(page.url);
    await last4In("4242");
    const portal = await answer(Page, "customer", "billing", "portal");
    await pay(portal.url, "5555555555554444");
    await last4In("4444");
    expect((await as("customer", "billing", "show")).stdout).toContain("mastercard 4444");
    const foreign = ["billing", "portal", "--return-url", "https://elsewhere.example/"];
    expect(await as("customer", ...foreign)).toMatchObject({ code: 5 });
    const Paid = z.object({
      order: z.object({ id: z.string(), state: z.literal("paid") }),
      checkoutUrl: z.null(),
    });
    const words = ordering("card-1.example.com", "--ssh-key", keyFile, "--pay-with-card");
    const { order: paid } = await answer(Paid, "customer", ...words);
    const Active = z.object({ state: z.literal("active") });
    await answer(Active, "customer", "order", "watch", paid.id);
  });

  test("every list that there is can be read", async () => {
    for (const words of ["plan", "image", "location", "vm", "token", "invoice"])
      expect(await as("customer", words, "list", "--all", "--json")).toMatchObject({
        code: 0,
        stderr: "",
      });
    for (const words of ["vm", "order", "action", "account", "audit", "host", "finding", "move"])
      expect(await as("staff", words, "list", "--all", "--json")).toMatchObject({
        code: 0,
        stderr: "",
      });
  });
});

test("staff cordon a host, plan its maintenance, and take both back (6b item 4)", async () => {
  const Host = z.object({
    state: z.string(),
    cpuOvercommit: z.number(),
    maintenance: z.object({ noticeHours: z.number() }).nullable(),
  });
  const host = (await as("staff", "host", "list", "--quiet", "--limit", "1")).stdout.trim();
  const shown = () => answer(Host, "staff", "host", "show", host);
  const { cpuOvercommit } = await shown();
  const moves = async (verb: string, ...more: readonly string[]) => {
    const ran = await as("staff", "host", verb, host, "--reason", "a fan", "--yes", ...more);
    expect(ran).toMatchObject({ code: 0 });
  };
  await moves("cordon");
  const at = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();
  await moves("maintenance", "--start", at(200), "--end", at(201), "--notice-hours", "36");
  const more = String(cpuOvercommit + 1);
  const set = await as("staff", "host", "set", host, "--overcommit", more);
  expect(set).toMatchObject({ code: 0 });
  expect(await shown()).toMatchObject({
    state: "cordoned",
    cpuOvercommit: cpuOvercommit + 1,
    maintenance: { noticeHours: 36 },
  });
  // Whether it holds a VM is another test's doing.
  const retired = await as("staff", "host", "retire", host, "--reason", "a fan", "--dry-run");
  expect(`${retired.code} ${retired.stderr}`).toMatch(/^0 |^5 .*\(host_not_empty\)/);
  await moves("cancel-maintenance");
  await moves("activate");
  expect(await shown()).toMatchObject({ state: "active", maintenance: null });
});

test("what ends badly has the code of its kind", async () => {
  const unpaid = await order("late-1.example.com");
  const none = `vm_${"0".repeat(32)}`;
  const { apiUrl: BERTH_URL, tokens } = stack;
  const ends = [
    await as("customer", "vm", "delete", none),
    await world.run(["whoami"], { env: { BERTH_URL, BERTH_TOKEN: "wrong" } }),
    await as("customer", "vm", "show", none),
    await as("customer", ...ordering("late-1.example.com", "--password")),
    await world.run(["vm", "delete", none, "--yes"], {
      env: { BERTH_URL: "http://127.0.0.1:1", BERTH_TOKEN: tokens.customer },
    }),
    await as("customer", "order", "watch", unpaid.order.id, "--timeout", "1", "--quiet"),
  ];
  expect(ends.map(({ code, stderr }) => [code, /\((\w+)\)$/m.exec(stderr)?.[1]])).toEqual([
    [2, "not_confirmed"],
    [3, "token_invalid"],
    [4, "vm_not_found"],
    [5, "order_open"],
    [6, "no_answer"],
    [7, "still_running"],
  ]);
});

test("the program itself answers in a pipe, and tells the shell how it ended", async () => {
  await bundleCli(path.join(stack.folder, "cli"));
  const env = { BERTH_URL: stack.apiUrl, BERTH_TOKEN: stack.tokens.customer };
  const [me, none] = await Promise.all([
    berth(env, "whoami", "--json"),
    berth(env, "vm", "show", `vm_${"0".repeat(32)}`),
  ]);
  expect(me).toMatchObject({ code: 0, stderr: "" });
  expect(JSON.parse(me.stdout)).toMatchObject({ email: "ada@customer.example" });
  expect(none).toMatchObject({ code: 4, stdout: "" });
});
