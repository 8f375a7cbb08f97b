import { v7 } from "uuid";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addHost, issueJoinToken } from "#commands/hosts/add-host.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { openAgentSession } from "#commands/hosts/open-agent-session.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import type { HeldImage, HostFacts } from "#core/contracts/agent/report.ts";
import { aHeldImage, anAgentReport, hostFacts } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { aPublicKey, aWorld, SYSTEM, valueOf } from "#test/harness/world.ts";

let cp: ControlPlane;
let locationId: string;
beforeAll(async () => {
  cp = await startControlPlane();
  ({ locationId } = await aWorld(cp));
});
afterAll(() => cp.drop());

const aHost = async (name = v7()) =>
  valueOf(await addHost(cp.deps, SYSTEM, { name, locationId, testOnly: false, cpuOvercommit: 4 }));
const key = (x = aPublicKey()) => ({ kty: "OKP", crv: "Ed25519", x }) as const;
const enroll = (joinToken: string, publicKey = key(), facts = hostFacts()) =>
  enrollHost(cp.deps, { joinToken, publicKey, facts });
const hostRow = async (id: string) => (await cp.rows("select * from hosts where id = $1", id))[0];

describe("a host that is added", () => {
  test("has a token, a queue, and no place for a VM until its agent has enrolled", async () => {
    const { host, joinToken } = await aHost();
    expect(host).toMatchObject({ state: "enrolling", queueUrl: expect.stringContaining(host.id) });
    expect(valueOf(await enroll(joinToken))).toEqual({
      hostId: host.id,
      identityEpoch: 1,
      installation: expect.any(String),
    });
    expect(await hostRow(host.id)).toMatchObject({
      state: "active",
      capacity_vcpus: 256,
      capacity_memory_mib: 14_336,
      capacity_disk_gib: 9000,
    });
  });

  test("has a name of its own", async () => {
    await aHost("rack-1");
    const again = { name: "rack-1", locationId, testOnly: false, cpuOvercommit: 4 };
    expect(await addHost(cp.deps, SYSTEM, again)).toMatchObject({ error: { code: "name_taken" } });
  });

  test("is there although its queue could not be made; it is made when the agent asks for it", async () => {
    let hostId: string | undefined;
    await cp.steps.watch(async () => {
      hostId = (await aHost()).host.id;
    }, /^before queues.ensureHostQueue/);
    if (hostId === undefined) throw new Error("the host was not added");
    expect(await hostRow(hostId)).toMatchObject({ queue_url: null });
    const session = await openAgentSession(cp.deps, hostId);
    expect(session.doorbell?.queueUrl).toContain(hostId);
    expect(await hostRow(hostId)).toMatchObject({ queue_url: session.doorbell?.queueUrl });
  });

  test("is stored with its token hashed", async () => {
    const { joinToken } = await aHost();
    const tokens = await cp.rows("select token_hash from join_tokens");
    expect(JSON.stringify(tokens)).not.toContain(joinToken);
  });
});

test("5 item 3: an agent is told whose releases to trust, at enrolment and in each session, where there are any", async () => {
  const releaseKey = "k".repeat(43);
  const signing = { ...cp.deps, settings: { ...cp.deps.settings, releaseKey } };
  const { host, joinToken } = await aHost();
  const request = { joinToken, publicKey: key(), facts: hostFacts() };
  const installation = expect.any(String);
  const told = { hostId: host.id, identityEpoch: 1, installation, releaseKey };
  expect(valueOf(await enrollHost(signing, request))).toEqual(told);
  // Its answer was lost.
  expect(valueOf(await enrollHost(signing, request))).toEqual(told);
  const { releases } = await openAgentSession(signing, host.id);
  expect(releases).toEqual({ key: releaseKey, wanted: null });
  expect(await openAgentSession(cp.deps, host.id)).not.toHaveProperty("releases");
});

describe("a join token", () => {
  test("works once: another key is refused", async () => {
    const { host, joinToken } = await aHost();
    valueOf(await enroll(joinToken));
    expect(await enroll(joinToken)).toMatchObject({ error: { code: "join_token_invalid" } });
    expect(await hostRow(host.id)).toMatchObject({ identity_epoch: 1 });
  });

  test("whose answer was lost gives the same answer again to the same key", async () => {
    const { joinToken } = await aHost();
    const publicKey = key();
    const first = await enroll(joinToken, publicKey);
    expect(await enroll(joinToken, publicKey)).toEqual(first);
  });

  test("is worth nothing after fifteen minutes, used or not", async () => {
    const [used, unused] = [await aHost(), await aHost()];
    const publicKey = key();
    valueOf(await enroll(used.joinToken, publicKey));
    cp.clock.advanceMinutes(15);
    const refused = { error: { code: "join_token_invalid" } };
    expect(await enroll(used.joinToken, publicKey)).toMatchObject(refused);
    expect(await enroll(unused.joinToken)).toMatchObject(refused);
  });

  test("that nobody issued is refused", async () => {
    expect(await enroll("berth-join-0123456789abcdef")).toMatchObject({
      error: { code: "join_token_invalid" },
    });
  });

  test("used by ten agents at once enrols one of them", async () => {
    const { host, joinToken } = await aHost();
    const answers = await Promise.all(Array.from({ length: 10 }, () => enroll(joinToken)));
    expect(answers.filter((a) => a.ok)).toHaveLength(1);
    expect(await hostRow(host.id)).toMatchObject({ identity_epoch: 1 });
  });
});

describe("enrolling again", () => {
  test("replaces the key, and keeps what the host has given away", async () => {
    const { host, joinToken } = await aHost();
    valueOf(await enroll(joinToken));
    await cp.rows("update hosts set allocated_memory_mib = 14000 where id = $1", host.id);
    const again = valueOf(await issueJoinToken(cp.deps, SYSTEM, host.id));
    const publicKey = key();
    const smaller = hostFacts({ memoryMib: 8192 });
    expect(valueOf(await enroll(again.joinToken, publicKey, smaller))).toMatchObject({
      hostId: host.id,
      identityEpoch: 2,
    });
    expect(await hostRow(host.id)).toMatchObject({
      public_key: publicKey.x,
      capacity_memory_mib: 14_000,
    });
  });

  test("is refused for a host that is retired", async () => {
    const { host, joinToken } = await aHost();
    valueOf(await enroll(joinToken));
    const { joinToken: later } = valueOf(await issueJoinToken(cp.deps, SYSTEM, host.id));
    await cp.rows("update hosts set state = 'retired' where id = $1", host.id);
    expect(await enroll(later)).toMatchObject({ error: { code: "host_wrong_state" } });
    expect(await issueJoinToken(cp.deps, SYSTEM, host.id)).toMatchObject({
      error: { code: "host_wrong_state" },
    });
  });
});

describe("a report with facts", () => {
  const reported = (hostId: string, facts: HostFacts) =>
    recordReport(cp.deps, hostId, anAgentReport({ facts }));

  test("gives away what the host has now, and never less than it has given away", async () => {
    const { host, joinToken } = await aHost();
    valueOf(await enroll(joinToken, key(), hostFacts({ memoryMib: 16_384 })));
    const before = await hostRow(host.id);
    expect(before).toMatchObject({ capacity_memory_mib: 16_384 - 2048 });
    await reported(host.id, hostFacts({ memoryMib: 32_768 }));
    expect(await hostRow(host.id)).toMatchObject({ capacity_memory_mib: 32_768 - 2048 });
    await cp.rows("update hosts set allocated_memory_mib = 20000 where id = $1", host.id);
    await reported(host.id, hostFacts({ memoryMib: 8192 }));
    expect(await hostRow(host.id)).toMatchObject({ capacity_memory_mib: 20_000 });
  });

  test("of another hypervisor than it enrolled with changes nothing", async () => {
    const { host, joinToken } = await aHost();
    valueOf(await enroll(joinToken));
    const before = await hostRow(host.id);
    await reported(host.id, hostFacts({ hypervisor: "hyperv", memoryMib: 2 ** 20 }));
    const { last_seen_at: _, ...after } = (await hostRow(host.id)) ?? {};
    expect(before).toMatchObject(after);
  });
});

describe("4b A3: what a host holds", () => {
  const held = (hostId: string) =>
    cp.rows(
      "select file, virtual_bytes, sha256, changed from held_images where host_id = $1 order by file",
      hostId,
    );
  const told = (hostId: string, images: HostFacts["images"]) => {
    const { images: _, ...facts } = hostFacts();
    return recordReport(
      cp.deps,
      hostId,
      anAgentReport({ facts: images === undefined ? facts : { ...facts, images } }),
    );
  };
  const row = (image: HeldImage) => ({
    file: image.file,
    virtual_bytes: String(image.virtualBytes),
    sha256: image.sha256,
    changed: image.changed,
  });

  test("is known from its enrolment on, and is what it said last", async () => {
    const { host, joinToken } = await aHost();
    const [a, b, c] = ["a", "b", "c"].map((file, n) => aHeldImage({ file, virtualBytes: n + 1 }));
    if (!a || !b || !c) throw new Error("three images");
    valueOf(await enroll(joinToken, key(), hostFacts({ images: [a, b] })));
    expect(await held(host.id)).toEqual([row(a), row(b)]);
    const newer = { ...b, sha256: "e".repeat(64), virtualBytes: 9 };
    await told(host.id, [newer, c]);
    expect(await held(host.id)).toEqual([row(newer), row(c)]);
    await told(host.id, [c, { ...c, virtualBytes: 4 }]);
    expect(await held(host.id)).toEqual([row({ ...c, virtualBytes: 4 })]);
    await told(host.id, []);
    expect(await held(host.id)).toEqual([]);
    expect(await hostRow(host.id)).toMatchObject({ tells_images: true });
  });

  test("is not known of an agent that does not say, of one that stops saying too", async () => {
    const { host, joinToken } = await aHost();
    const { images: _, ...facts } = hostFacts();
    valueOf(await enroll(joinToken, key(), facts));
    expect(await hostRow(host.id)).toMatchObject({ tells_images: false });
    await told(host.id, [aHeldImage()]);
    expect(await hostRow(host.id)).toMatchObject({ tells_images: true });
    await told(host.id, undefined);
    expect(await hostRow(host.id)).toMatchObject({ tells_images: false });
    expect(await held(host.id)).toEqual([]);
  });

  test("and that changed under its VMs is told to staff, once", async () => {
    const { host, joinToken } = await aHost();
    valueOf(await enroll(joinToken));
    const lines = () => cp.log.errors.filter((line) => line["host_id"] === host.id);
    await told(host.id, [aHeldImage(), aHeldImage({ file: "other", changed: true })]);
    await told(host.id, [aHeldImage(), aHeldImage({ file: "other", changed: true })]);
    expect(lines()).toMatchObject([
      { event: "finding.opened", kind: "image_changed", subject: "other" },
    ]);
  });
});

describe("a host's facts are not trusted", () => {
  const enrollOverHttp = async (joinToken: string, facts: object) =>
    cp.fetch(
      new Request("http://berth.test/agent/v1/enroll", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ joinToken, publicKey: key(), facts: { ...hostFacts(), ...facts } }),
      }),
    );

  test.each([{ cpuThreads: 2 ** 40 }, { memoryMib: 2 ** 40 }, { diskGib: 2 ** 40 }])(
    "more than a column holds is a bad request (%o)",
    async (facts) => {
      const answer = await enrollOverHttp((await aHost()).joinToken, facts);
      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({ code: "invalid_request" });
    },
  );

  test("text that no database keeps is replaced", async () => {
    const { host, joinToken } = await aHost();
    const answer = await enrollOverHttp(joinToken, { hypervisorVersion: "QEMU \0 \ud800" });
    expect(answer.status).toBe(200);
    expect(await hostRow(host.id)).toMatchObject({
      facts: { hypervisorVersion: "QEMU \ufffd \ufffd" },
    });
  });
});

// 12.7: two Berths on one hypervisor.
describe("which Berth it is", () => {
  test("is told the same at each enrolment and in each session, to every host", async () => {
    const told = [];
    for (const { host, joinToken } of [await aHost(), await aHost()]) {
      told.push(valueOf(await enroll(joinToken)).installation);
      told.push((await openAgentSession(cp.deps, host.id)).installation);
    }
    const [row, ...more] = await cp.rows("select id from installation");
    expect(more).toEqual([]);
    expect(told).toEqual(Array.from({ length: 4 }, () => row?.["id"]));
  });
});
