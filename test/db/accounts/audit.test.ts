import { v7 } from "uuid";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { toWireId } from "#core/ids.ts";
import type { ControlPlane } from "#test/harness/control-plane.ts";
import { aWorld } from "#test/harness/world.ts";
import { openDesk, type Member } from "./desk.ts";

/* 6a item 6: who changed what, by subject, actor and time. */

let cp: ControlPlane;
let locationId: string;
let desk: Awaited<ReturnType<typeof openDesk>>;
let grace: Member;
let alan: Member;
beforeAll(async () => {
  desk = await openDesk();
  cp = desk.cp;
  ({ locationId } = await aWorld(cp));
  [grace, alan] = [await desk.member("operator"), await desk.member("owner")];
});
afterAll(() => cp.drop());

const Added = z.object({ host: z.object({ id: z.string() }) });
async function addHost(by = grace): Promise<string> {
  const body = { name: v7(), locationId: toWireId("location", locationId) };
  return Added.parse((await by.ask("POST", "/staff/v1/hosts", body)).body).host.id;
}
const Page = z.object({
  items: z.array(
    z.object({
      id: z.string(),
      at: z.string(),
      actor: z.object({ kind: z.string(), id: z.string() }),
      action: z.string(),
      subject: z.object({ kind: z.string(), id: z.string() }),
    }),
  ),
  nextCursor: z.string().nullable(),
});
const audit = async (query: Record<string, string>) =>
  Page.parse(
    (await grace.ask("GET", `/staff/v1/audit?${new URLSearchParams(query).toString()}`)).body,
  );

test("what was done to something is told, by whom, the newest first", async () => {
  const host = await addHost();
  cp.clock.advanceMinutes(1);
  await alan.ask("PATCH", `/staff/v1/hosts/${host}`, { group: "rack-1" });
  const { items, nextCursor } = await audit({ subject: host });
  expect(nextCursor).toBeNull();
  const by = (who: { accountId: string }) => ({
    kind: "staff",
    id: toWireId("account", who.accountId),
  });
  expect(items).toMatchObject([
    { actor: by(alan), subject: { kind: "host", id: host }, at: cp.clock.now().toISOString() },
    { actor: by(grace), action: "host.issue_join_token" },
    { actor: by(grace), action: "host.add" },
  ]);
});

test("what somebody did in a time is told, its end left out", async () => {
  const turing = await desk.member("operator");
  const seen: string[] = [];
  for (const _ of [1, 2, 3]) {
    cp.clock.advanceMinutes(1);
    seen.push(cp.clock.now().toISOString());
    await addHost(turing);
  }
  const actor = toWireId("account", turing.accountId);
  const [first = "", second = "", third = ""] = seen;
  const ats = async (query: Record<string, string>) =>
    new Set((await audit({ actor, ...query })).items.map((entry) => entry.at));
  expect(await ats({})).toEqual(new Set(seen));
  expect(await ats({ from: second })).toEqual(new Set([second, third]));
  expect(await ats({ from: second, to: third })).toEqual(new Set([second]));
  expect(await ats({ to: second })).toEqual(new Set([first]));
});

test("its pages hold each entry once, also of those of one instant", async () => {
  const hopper = await desk.member("operator");
  for (const _ of [1, 2, 3]) await addHost(hopper);
  const actor = toWireId("account", hopper.accountId);
  const whole = (await audit({ actor })).items.map(({ id }) => id);
  expect(whole).toHaveLength(6);
  const walked: string[] = [];
  for (let cursor: string | null = null; walked.length < 10;) {
    const page: z.infer<typeof Page> = await audit({
      actor,
      limit: "1",
      ...(cursor && { cursor }),
    });
    walked.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor;
    if (cursor === null) break;
  }
  expect(walked).toEqual(whole);
});

test("a cursor is good for the list that gave it, and what is none begins anew", async () => {
  const host = await addHost();
  const { items, nextCursor } = await audit({ limit: "1" });
  const cursor = nextCursor ?? "";
  expect((await audit({ limit: "1", cursor })).items).not.toEqual(items);
  const others = await grace.ask("GET", `/staff/v1/audit?subject=${host}&cursor=${cursor}`);
  expect(others).toMatchObject({ status: 400, body: { code: "cursor_invalid" } });
  const [tag = ""] = Buffer.from(cursor, "base64url").toString("utf8").split("\n");
  const forged = (key: string, id: string) =>
    Buffer.from([tag, key, id].join("\n")).toString("base64url");
  for (const bad of [
    forged("2026-13-45", v7()),
    forged("0", v7()),
    forged(items[0]?.at ?? "", "x"),
  ])
    expect(await grace.ask("GET", `/staff/v1/audit?cursor=${bad}`)).toMatchObject({
      status: 400,
      body: { code: "cursor_invalid" },
    });
  expect((await audit({ limit: "1", cursor: "AAAA" })).items).toEqual(items);
});

test.each(["vm=vm_1", "subject=nothing", "actor=%00", "from=yesterday", "sort=at"])(
  "what it does not know is refused: %s",
  async (query) => {
    expect(await grace.ask("GET", `/staff/v1/audit?${query}`)).toMatchObject({
      status: 400,
      body: { code: "invalid_request" },
    });
  },
);
