import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { aCliWorld, answering, aProblem, type CliWorld } from "#test/harness/cli-world.ts";

const ME = {
  id: "acct_0199f0a2b3c47d5e8f90a1b2c3d4e5f6",
  email: "ada@example.com",
  name: "Ada",
  role: "customer",
  scopes: ["vms:read"],
  currency: null,
  locale: "en",
};

let world: CliWorld;
let answers: Record<string, readonly [number, unknown]>;
beforeEach(async () => {
  answers = { "GET /v1/me": [200, ME], "GET /v1/vms": [200, { items: [], nextCursor: null }] };
  world = await aCliWorld((url, init) => answering(answers)(url, init));
});
afterEach(() => world.close());

const file = () => path.join(world.configFolder, "contexts.json");
const add = (name: string, url = "https://api.example.com", piped = "secret-1\n") =>
  world.run(["context", "add", name, url], { piped });
const sentTo = () =>
  world.asked.map(({ url, init }) => [
    new URL(url).origin,
    new Headers(init.headers).get("authorization"),
  ]);

describe("a context (6a item 7)", () => {
  it("is kept for its owner alone, with what the API says of its token, and used from then on", async () => {
    expect(await add("prod")).toMatchObject({ code: 0 });
    expect((await stat(file())).mode & 0o777).toBe(0o600);
    expect((await stat(world.configFolder)).mode & 0o777).toBe(0o700);
    expect(JSON.parse(await readFile(file(), "utf8"))).toEqual({
      current: "prod",
      contexts: {
        prod: {
          url: "https://api.example.com",
          token: "secret-1",
          email: "ada@example.com",
          role: "customer",
        },
      },
    });
    await world.run(["vm", "list"]);
    expect(sentTo().at(-1)).toEqual(["https://api.example.com", "Bearer secret-1"]);
  });

  it("takes its token from a file, or typed where it is not shown", async () => {
    await writeFile(path.join(world.configFolder, "../token"), "secret-2\n");
    const named = path.join(world.configFolder, "../token");
    await world.run(["context", "add", "a", "https://a.test", "--token-file", named]);
    await world.run(["context", "add", "b", "https://b.test"], { typed: ["secret-3"] });
    expect(sentTo()).toEqual([
      ["https://a.test", "Bearer secret-2"],
      ["https://b.test", "Bearer secret-3"],
    ]);
  });

  it("is not kept when the API does not know the token", async () => {
    answers["GET /v1/me"] = [401, aProblem("token_invalid", 401)];
    expect(await add("prod")).toMatchObject({ code: 3 });
    await expect(stat(file())).rejects.toThrow("ENOENT");
  });

  it("is chosen by name, for one command or from then on, listed and forgotten", async () => {
    await add("one", "https://one.test", "secret-1");
    await add("two", "https://two.test", "secret-2");
    await world.run(["vm", "list", "--context", "one"]);
    expect(sentTo().at(-1)).toEqual(["https://one.test", "Bearer secret-1"]);
    await world.run(["context", "use", "one"]);
    expect((await world.run(["context", "list"])).stdout).toBe(
      "\tNAME\tADDRESS\tWHO\tROLE\n" +
        "*\tone\thttps://one.test\tada@example.com\tcustomer\n" +
        "\ttwo\thttps://two.test\tada@example.com\tcustomer\n",
    );
    await world.run(["context", "remove", "one", "--yes"]);
    expect(await world.run(["vm", "list"])).toMatchObject({ code: 3 });
    expect(await world.run(["vm", "list", "--context", "one"])).toMatchObject({ code: 2 });
    expect(await readFile(file(), "utf8")).not.toContain("secret-1");
  });

  it("is refused when others can read it, and when it is broken", async () => {
    await add("prod");
    await chmod(file(), 0o640);
    const readable = await world.run(["vm", "list"]);
    expect(readable).toMatchObject({ code: 2 });
    expect(readable.stderr).toContain("contexts_readable");
    expect(readable.stderr).toContain(`chmod 600 ${file()}`);
    await chmod(file(), 0o600);
    await writeFile(file(), '{"current": 1}');
    expect((await world.run(["vm", "list"])).stderr).toContain("contexts_broken");
  });

  it("that cannot be kept is told so, and no stack", async () => {
    await writeFile(world.configFolder, "a file where a folder should be");
    const ran = await add("prod");
    expect(ran).toMatchObject({ code: 1, stdout: "" });
    expect(ran.stderr).toContain("(contexts_unwritable)\n  next: XDG_CONFIG_HOME");
  });

  it("never shows its token", async () => {
    const said = [
      await add("prod"),
      await world.run(["context", "list", "--json"]),
      await world.run(["whoami", "--json"]),
    ];
    for (const { stdout, stderr } of said) expect(stdout + stderr).not.toContain("secret-1");
  });
});

describe("a script", () => {
  it("says by its environment whom to ask, and as whom; --context goes before it", async () => {
    await add("prod");
    const env = { BERTH_URL: "https://other.test", BERTH_TOKEN: "secret-9" };
    await world.run(["vm", "list"], { env });
    expect(sentTo().at(-1)).toEqual(["https://other.test", "Bearer secret-9"]);
    await world.run(["vm", "list", "--context", "prod"], { env });
    expect(sentTo().at(-1)).toEqual(["https://api.example.com", "Bearer secret-1"]);
  });

  it("that names another address sends it no context's token", async () => {
    await add("prod");
    await world.run(["whoami"], { env: { BERTH_URL: "https://evil.test" } });
    expect(sentTo().at(-1)).toEqual(["https://evil.test", null]);
    await world.run(["whoami"], { env: { BERTH_URL: "https://api.example.com" } });
    expect(sentTo().at(-1)).toEqual(["https://api.example.com", "Bearer secret-1"]);
  });
});

it.each([
  ["http://api.example.com", "url_insecure"],
  ["http://127.0.0.1.example.com", "url_insecure"],
  ["ftp://api.example.com", "url_invalid"],
  ["api.example.com", "url_invalid"],
  ["https://api.example.com/v1", "url_invalid"],
  ["https://me:secret@api.example.com", "url_invalid"],
])("no token is sent to %s", async (url, code) => {
  const refused = await add("prod", url);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain(code);
  expect(world.asked).toEqual([]);
});

it.each(["http://127.0.0.1:8787", "http://localhost:8787", "http://[::1]:8787"])(
  "this machine may be asked by plain HTTP: %s",
  async (url) => {
    expect(await add("local", url)).toMatchObject({ code: 0 });
  },
);

it("a context's name is a word in any shell", async () => {
  await mkdir(world.configFolder, { recursive: true });
  for (const name of ["Prod", "a b", "$(x)", "-x", ""])
    expect(
      await world.run(["context", "add", "--", name, "https://a.test"], { piped: "s" }),
    ).toMatchObject({ code: 2 });
});
