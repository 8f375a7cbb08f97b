import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  aCliWorld,
  answering,
  aProblem,
  type Answers,
  type CliWorld,
} from "#test/harness/cli-world.ts";

const ACTION = "act_0199f0a2b3c47d5e8f90a1b2c3d4e5f6";
const VM = "vm_0199f0a2b3c47d5e8f90a1b2c3d4e5f6";
const at = "2026-03-01T12:00:00.000Z";
const of = (kind: string) => `${kind}_0199f0a2b3c47d5e8f90a1b2c3d4e5f6`;
const ORDER =
  `order create web-1 --plan ${of("plan")} --image ${of("img")} --location ${of("loc")}`.split(" ");
const anAction = (over: object = {}) => ({
  id: ACTION,
  vmId: VM,
  type: "reboot",
  status: "running",
  progress: 50,
  steps: [{ name: "carry_out", status: "running", startedAt: at, finishedAt: null }],
  payUrl: null,
  startedAt: at,
  finishedAt: null,
  error: null,
  ...over,
});
const aToken = (n: number) => ({
  id: `t${n}`,
  name: `token ${n}`,
  start: "berth_a",
  scopes: [],
  currency: null,
  createdAt: at,
  expiresAt: null,
  lastUsedAt: null,
});

let world: CliWorld;
let answers: Record<string, Answers[string] | (() => Answers[string])>;
beforeEach(async () => {
  answers = {};
  world = await aCliWorld(
    (url, init) => {
      const key = `${init.method} ${url.pathname}`;
      const answer = answers[key];
      const now = typeof answer === "function" ? answer() : answer;
      return answering(now === undefined ? {} : { [key]: now })(url, init);
    },
    { env: { BERTH_URL: "https://api.example.com", BERTH_TOKEN: "secret" } },
  );
});
afterEach(() => world.close());

const methods = () => world.asked.map(({ init }) => init.method);

describe("what ends badly (6a item 7)", () => {
  it.each([
    [
      1,
      "failed",
      200,
      anAction({ status: "error", finishedAt: at, error: { code: "host_refused", message: "no" } }),
    ],
    [2, "invalid_request", 400, aProblem("invalid_request", 400)],
    [3, "token_invalid", 401, aProblem("token_invalid", 401)],
    [3, "scope_missing", 403, aProblem("scope_missing", 403)],
    [4, "action_not_found", 404, aProblem("action_not_found", 404)],
    [4, "password_expired", 410, aProblem("password_expired", 410)],
    [5, "vm_locked", 409, aProblem("vm_locked", 409)],
    [5, "plan_beyond_limits", 422, aProblem("plan_beyond_limits", 422)],
    [5, "too_many_unpaid_from_network", 429, aProblem("too_many_unpaid_from_network", 429)],
    [6, "rate_limited", 429, aProblem("rate_limited", 429)],
    [6, "internal", 500, aProblem("internal", 500)],
    [6, "answer_unreadable", 200, { id: 1 }],
  ])("ends with %i for %s (%i)", async (exit, code, status, body) => {
    answers[`GET /v1/actions/${ACTION}`] = [status, body];
    const people = await world.run(["action", "watch", ACTION]);
    const program = await world.run(["action", "watch", ACTION, "--json", "--quiet"]);
    expect([people.code, program.code]).toEqual([exit, exit]);
    const said = code === "failed" ? "host_refused" : code;
    expect(people.stderr).toContain(`(${said})\n`);
    expect(JSON.parse(program.stderr)).toMatchObject({ error: { exit, code: said } });
  });

  it("ends with 7 when it is not waited for any longer, and says how to go on waiting", async () => {
    answers[`GET /v1/actions/${ACTION}`] = [200, anAction()];
    const ran = await world.run(["action", "watch", ACTION, "--timeout", "10", "--json"]);
    expect(ran.code).toBe(7);
    expect(ran.stderr).toContain(`berth action watch ${ACTION}`);
    expect(JSON.parse(ran.stdout)).toMatchObject({ status: "running" });
    expect(world.slept.reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual(10_000);
  });

  it.each([
    [["vm", "power"], "missing_argument"],
    [["vm", "power", VM, "explode"], "invalid_argument"],
    [["vm", "lisst"], "unknown_command"],
    [["vm", "list", "--nope"], "unknown_option"],
    [["vm", "list", "--limit", "-1"], "invalid_argument"],
    [["vm", "list", "extra"], "excess_arguments"],
    [["order", "create", "web-1"], "missing_mandatory_option_value"],
    [[...ORDER, "--currency", "xxx"], "currency_unknown"],
    [["api", "GET", "//evil.test/x"], "path_invalid"],
    [["api", "POST", "/v1/tokens", "--data", "{"], "data_invalid"],
  ])("ends with 2 for a command line such as %j, and asks nobody", async (words, code) => {
    const ran = await world.run([...words, "--json"]);
    expect(ran).toMatchObject({ code: 2, stdout: "" });
    expect(JSON.parse(ran.stderr)).toMatchObject({ error: { kind: "usage", exit: 2, code } });
    expect(world.asked).toEqual([]);
  });

  it("says what to do next", async () => {
    answers[`GET /v1/vms/${VM}`] = [403, aProblem("scope_missing", 403, "this needs vms:read")];
    expect((await world.run(["vm", "show", VM])).stderr).toBe(
      "berth: this needs vms:read (scope_missing)\n" +
        "  next: a token that has the scope: berth token create; berth whoami shows what this one may\n",
    );
  });
});

describe("what destroys", () => {
  beforeEach(() => {
    answers[`DELETE /v1/vms/${VM}`] = [202, { action: anAction({ type: "delete" }) }];
  });

  it("is refused where nobody can be asked", async () => {
    const ran = await world.run(["vm", "delete", VM]);
    expect(ran).toMatchObject({ code: 2, stdout: "" });
    expect(ran.stderr).toContain("not_confirmed");
    expect(ran.stderr).toContain("--yes");
    expect(world.asked).toEqual([]);
  });

  it.each([
    ["y", 0, ["DELETE"]],
    ["yes", 0, ["DELETE"]],
    ["n", 1, []],
    ["", 1, []],
    ["yesterday", 1, []],
  ])("is asked of a person, who says %j", async (typed, code, asked) => {
    expect(await world.run(["vm", "delete", VM], { typed: [typed] })).toMatchObject({ code });
    expect(methods()).toEqual(asked);
  });

  it("asks nothing with --yes", async () => {
    expect(await world.run(["vm", "delete", VM, "--yes"])).toMatchObject({ code: 0 });
  });
});

describe("what staff force", () => {
  const asked = () =>
    world.asked.map(({ init: { body } }) => JSON.parse(typeof body === "string" ? body : "null"));
  beforeEach(() => {
    answers[`POST /staff/v1/vms/${VM}/repair`] = () =>
      asked().at(-1)?.dryRun === true
        ? [200, { how: "recreate", effects: ["what was on it is lost"], hash: "h-1" }]
        : [202, { action: anAction({ type: "recreate" }) }];
  });
  const repair = ["vm", "repair", VM, "recreate"];

  it("is looked at, shown, asked, and done by the look's hash", async () => {
    const ran = await world.run(repair, { typed: ["y"] });
    expect(ran.code).toBe(0);
    expect(ran.stderr).toMatch(/^It would:\nwhat was on it is lost\nrecreate vm_.*\[y\/N\] /);
    expect(asked()).toEqual([
      { how: "recreate", dryRun: true },
      { how: "recreate", hash: "h-1" },
    ]);
  });

  it("is looked at alone with --dry-run, and done without another look by its hash", async () => {
    const looked = await world.run([...repair, "--dry-run", "--json"]);
    expect(JSON.parse(looked.stdout)).toMatchObject({ hash: "h-1" });
    expect(await world.run([...repair, "--hash", "h-1"])).toMatchObject({ code: 0 });
    expect(asked()).toEqual([
      { how: "recreate", dryRun: true },
      { how: "recreate", hash: "h-1" },
    ]);
  });

  it("is not done when the person says no, or cannot be asked", async () => {
    expect(await world.run(repair, { typed: ["n"] })).toMatchObject({ code: 1 });
    expect(await world.run(repair)).toMatchObject({ code: 2 });
    expect(asked()).toEqual([
      { how: "recreate", dryRun: true },
      { how: "recreate", dryRun: true },
    ]);
  });
});

describe("a catalogue that is synced", () => {
  const SYNC = "POST /staff/v1/catalogue/sync";
  const price = {
    interval: "month",
    amountMinor: "500",
    currency: "usd",
    taxBehavior: "exclusive",
  };
  const plan = { name: "S", vcpus: 1, memoryMib: 1024, diskGib: 20, trafficGib: 1000 };
  const PLAN = JSON.stringify({ plans: [{ ...plan, prices: [price] }] });
  const asked = () =>
    world.asked.map(({ init: { body } }) => JSON.parse(typeof body === "string" ? body : "null"));
  const answered = (effects: readonly string[], done: boolean) =>
    [
      200,
      {
        effects,
        hash: "h-1",
        done,
        changes: effects.map((words) => ({ kind: "add_plan", plan: "S", words })),
        left: ["plan Old is not in the file"],
      },
    ] as const;

  it("sends the file, says each change and what is left, and does them by the look's hash", async () => {
    answers[SYNC] = () => answered(["plan S: put on sale"], asked().at(-1)?.hash === "h-1");
    const sync = ["catalogue", "sync", "-"];
    const looked = await world.run([...sync, "--dry-run"], { piped: PLAN });
    expect(looked).toMatchObject({ code: 0 });
    expect(looked.stdout).toMatch(/It would:\nplan S: put on sale\n\nLeft as it is:\nplan Old/);
    const data = JSON.parse(
      (await world.run([...sync, "--yes", "--json"], { piped: PLAN })).stdout,
    );
    expect(data).toMatchObject({ done: true, changes: [{ kind: "add_plan" }] });
    expect(asked().map(({ dryRun, hash, retire }) => ({ dryRun, hash, retire }))).toEqual([
      { dryRun: true, hash: undefined, retire: false },
      { dryRun: true, hash: undefined, retire: false },
      { dryRun: undefined, hash: "h-1", retire: false },
    ]);
    expect(asked()[0]?.catalogue.plans[0]).toMatchObject({
      name: "S",
      prices: [{ taxBehavior: "exclusive" }],
    });
  });

  it("says that there is nothing to change, and asks nobody", async () => {
    answers[SYNC] = answered([], false);
    const ran = await world.run(["catalogue", "sync", "-"], { piped: PLAN });
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining("nothing to change") });
    expect(asked()).toHaveLength(1);
  });

  it("tells by its place what is wrong in the file, and sends nothing", async () => {
    const wrong = PLAN.replace('"vcpus":1', '"vcpus":"none"');
    const ran = await world.run(["catalogue", "sync", "-"], { piped: wrong });
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining("plans.0.vcpus") });
    const broken = await world.run(["catalogue", "sync", "-"], { piped: '{"plans": [' });
    expect(broken.code).toBe(2);
    expect(asked()).toEqual([]);
  });
});

describe("an action that is watched", () => {
  beforeEach(() => {
    let looks = 0;
    answers[`POST /v1/vms/${VM}/actions`] = [202, { action: anAction({ progress: 0 }) }];
    answers[`GET /v1/actions/${ACTION}`] = () =>
      ++looks < 3
        ? [200, anAction({ progress: looks * 30 })]
        : [200, anAction({ status: "success", progress: 100, finishedAt: at, steps: [] })];
  });

  it("has a bar on a terminal, drawn over itself and taken away", async () => {
    const ran = await world.run(["vm", "power", VM, "reboot", "--watch"], {
      typed: [],
      columns: 120,
    });
    expect(ran.code).toBe(0);
    const drawn = ran.stderr.split("\r\u001b[2K").map((line) => line.replace(/ +\d+%.*/, ""));
    expect(drawn).toEqual([
      "",
      `reboot ${VM}  ███████░░░░░░░░░░░░░░░░░`,
      `reboot ${VM}  ██████████████░░░░░░░░░░`,
      `reboot ${VM}  ████████████████████████`,
      "",
    ]);
    expect(ran.stderr).not.toContain("\n");
  });

  it("is told by lines elsewhere, on stderr, and the answer alone on stdout", async () => {
    const ran = await world.run(["vm", "power", VM, "reboot", "--watch", "--json"]);
    expect(ran.stderr).toBe(
      `reboot ${VM}: 30% carry out\nreboot ${VM}: 60% carry out\nreboot ${VM}: 100% success\n`,
    );
    expect(JSON.parse(ran.stdout)).toMatchObject({ id: ACTION, status: "success" });
  });

  it("is waited for in a state that only a newer server knows", async () => {
    let looks = 0;
    answers[`GET /v1/actions/${ACTION}`] = () => [
      200,
      ++looks < 3
        ? anAction({ status: "waiting", progress: 10, steps: [] })
        : anAction({ status: "success", progress: 100, finishedAt: at }),
    ];
    const ran = await world.run(["action", "watch", ACTION]);
    expect(ran.code).toBe(0);
    expect(ran.stderr).toContain("10% waiting\n");
    expect(looks).toBe(3);
  });

  it("is silent with --quiet but for its id", async () => {
    expect(await world.run(["vm", "power", VM, "reboot", "--watch", "--quiet"])).toEqual({
      code: 0,
      stdout: `${ACTION}\n`,
      stderr: "",
    });
  });

  it("never has a line longer than its terminal", async () => {
    const ran = await world.run(["vm", "power", VM, "reboot", "--watch"], {
      typed: [],
      columns: 40,
    });
    for (const line of ran.stderr.split("\r\u001b[2K")) expect(line.length).toBeLessThan(40);
  });
});

describe("a list", () => {
  const pages = () => {
    const sizes: number[] = [];
    answers["GET /v1/tokens"] = () => {
      const { searchParams } = new URL(world.asked.at(-1)?.url ?? "");
      const [limit, from] = [
        Number(searchParams.get("limit")),
        Number(searchParams.get("cursor") ?? 0),
      ];
      sizes.push(limit);
      const items = Array.from({ length: Math.min(limit, 230 - from) }, (_, n) => aToken(from + n));
      const next = from + items.length;
      return [200, { items, nextCursor: next < 230 ? String(next) : null, newField: 1 }];
    };
    return sizes;
  };
  const idsOf = async (...more: readonly string[]) =>
    (await world.run(["token", "list", "--quiet", ...more])).stdout.trim().split("\n");

  it.each([
    [[], 25, [25]],
    [["--limit", "3"], 3, [3]],
    [["--limit", "150"], 150, [100, 50]],
    [["--all"], 230, [100, 100, 100]],
    [["--cursor", "225"], 5, [25]],
  ])("%j follows its pages as far as it was asked to", async (words, length, asked) => {
    const sizes = pages();
    const ids = await idsOf(...words);
    expect(ids).toHaveLength(length);
    expect(new Set(ids).size).toBe(length);
    expect(sizes).toEqual(asked);
  });

  it("is one JSON value, as the API's pages are, whole", async () => {
    pages();
    const all = JSON.parse((await world.run(["token", "list", "--all", "--json"])).stdout);
    expect(all).toMatchObject({ nextCursor: null });
    expect(all.items).toHaveLength(230);
    const some = JSON.parse((await world.run(["token", "list", "--json"])).stdout);
    expect(some).toMatchObject({ nextCursor: "25" });
  });

  it("says to a person that there is more", async () => {
    pages();
    expect((await world.run(["token", "list"], { typed: [] })).stderr).toContain("next: --all");
    expect((await world.run(["token", "list"])).stderr).toBe("");
  });
});

it.each([
  [{}, true],
  [{ NO_COLOR: "1" }, false],
  [{ TERM: "dumb" }, false],
])("with %j a terminal has colours: %s", async (env, coloured) => {
  answers[`GET /v1/actions/${ACTION}`] = [200, anAction()];
  const ran = await world.run(["action", "show", ACTION], { typed: [], env });
  expect(ran.stdout.includes("\u001b[")).toBe(coloured);
  const plain = await world.run(["action", "show", ACTION, "--no-color"], { typed: [], env });
  expect(plain.stdout).not.toContain("\u001b[");
});

it("what the API says more than this program knows is in --json", async () => {
  answers[`GET /v1/actions/${ACTION}`] = [200, anAction({ mood: "fine", type: "levitate" })];
  const { stdout } = await world.run(["action", "show", ACTION, "--json"]);
  expect(JSON.parse(stdout)).toMatchObject({ mood: "fine", type: "levitate" });
  expect((await world.run(["action", "show", ACTION])).stdout).toContain("type\tlevitate\n");
});

it.each([
  [[], {}],
  [["--currency", "KWD"], { currency: "kwd" }],
])("an order with %j asks for %j", async (words, currency) => {
  answers["POST /v1/orders"] = [422, aProblem("currency_not_sold", 422)];
  const ran = await world.run([...ORDER, ...words]);
  expect(ran.stderr).toContain("next: another --currency or plan: berth plan list shows");
  const body = JSON.stringify({
    planId: of("plan"),
    imageId: of("img"),
    locationId: of("loc"),
    hostname: "web-1",
    billingInterval: "month",
    ...currency,
  });
  expect(world.asked[0]).toMatchObject({ init: { body } });
});

it("whatever the API has can be called as it is", async () => {
  answers["POST /v2/moons"] = [201, { moon: 1 }];
  const ran = await world.run(["api", "POST", "/v2/moons?x=1", "--data", "-"], {
    piped: '{"a":1}',
  });
  expect(ran).toMatchObject({ code: 0, stdout: '{\n  "moon": 1\n}\n' });
  expect(world.asked[0]).toMatchObject({
    url: "https://api.example.com/v2/moons?x=1",
    init: { body: '{"a":1}', headers: { "idempotency-key": "key-of-the-tests-1" } },
  });
});

it("help and version are on stdout, and no failure", async () => {
  expect(await world.run(["--help"])).toMatchObject({ code: 0, stderr: "" });
  expect((await world.run(["vm", "power", "--help"])).stdout).toContain("--watch");
  expect((await world.run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(await world.run(["vm"])).toMatchObject({ code: 2, stdout: "" });
});
