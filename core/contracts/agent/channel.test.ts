import { describe, expect, test } from "vitest";
import { hostFacts } from "#test/builders.ts";
import { oneFieldMore } from "#test/compat/one-field-more.ts";
import { withField } from "#test/harness/with-field.ts";
import { AgentSession, Doorbell, EnrollAnswer, EnrollRequest } from "./channel.ts";

const HOST = "0199f0a2-b3c4-7d5e-8f90-000000000001";

describe("an enrolment", () => {
  const REQUEST = {
    joinToken: "join_0123456789abcdef",
    publicKey: { kty: "OKP", crv: "Ed25519", x: `${"aZ0_-".repeat(8)}aZ0` },
    facts: hostFacts(),
  };

  test("is read whole, and without what is of tomorrow", () => {
    expect(EnrollRequest.parse(oneFieldMore(REQUEST))).toEqual(REQUEST);
  });

  test.each(["j".repeat(20), "j".repeat(200)])("may have the join token %s", (joinToken) => {
    expect(EnrollRequest.parse({ ...REQUEST, joinToken })).toEqual({ ...REQUEST, joinToken });
  });

  test.each<[string, unknown]>([
    ["joinToken", "j".repeat(19)],
    ["joinToken", "j".repeat(201)],
    ["publicKey.kty", "EC"],
    ["publicKey.crv", "Ed448"],
    ["publicKey.x", "a".repeat(42)],
    ["publicKey.x", "a".repeat(44)],
    ["publicKey.x", `${"a".repeat(42)}+`],
    ["publicKey.x", `${"a".repeat(43)}\n`],
    // Here a host whose facts cannot be read is no host.
    ["facts", null],
    ["facts.cpuThreads", 0],
  ])("may not have %s of %j", (path, value) => {
    expect(EnrollRequest.safeParse(withField(REQUEST, path, value)).success).toBe(false);
  });
});

describe("an answer to it", () => {
  test("is read whole, and without what is of tomorrow", () => {
    const answer = { hostId: HOST, identityEpoch: 1 };
    const withKey = { ...answer, releaseKey: "k".repeat(43) };
    expect(EnrollAnswer.parse(oneFieldMore(answer))).toEqual(answer);
    expect(EnrollAnswer.parse(oneFieldMore(withKey))).toEqual(withKey);
  });

  test.each([
    { hostId: "host_1", identityEpoch: 1 },
    { hostId: HOST, identityEpoch: 0 },
    { hostId: HOST },
    { hostId: HOST, identityEpoch: 1, releaseKey: "k".repeat(42) },
  ])("is not %j", (answer) => {
    expect(EnrollAnswer.safeParse(answer).success).toBe(false);
  });
});

describe("a session", () => {
  const SESSION = {
    doorbell: {
      queueUrl: "https://sqs.example/host-1",
      region: "eu-west-1",
      credentials: {
        accessKeyId: "AKIA1",
        secretAccessKey: "a-secret",
        sessionToken: "a-token",
        expiresAt: "2026-04-01T12:00:00.002Z",
      },
    },
    intervals: { resyncSeconds: 61, usageSampleSeconds: 62, usageFlushSeconds: 63 },
    releases: {
      key: "k".repeat(43),
      wanted: { version: "1.2.3", manifestUrl: "https://releases.example/1.2.3/manifest.json" },
    },
  };

  test("is read whole, and without what is of tomorrow", () => {
    expect(AgentSession.parse(oneFieldMore(SESSION))).toEqual(SESSION);
  });

  test.each<[string, unknown]>([
    ["doorbell", null],
    ["doorbell.credentials.sessionToken", null],
    ["intervals.resyncSeconds", 0.1],
    ["intervals.usageSampleSeconds", 0.1],
    ["intervals.usageFlushSeconds", 0.1],
    ["releases", undefined],
    ["releases.wanted", null],
    ["releases.wanted.version", "12345.0.0"],
    ["releases.wanted.manifestUrl", "http://127.0.0.1:8080/manifest.json"],
  ])("may have %s of %j", (path, value) => {
    const session = withField(SESSION, path, value);
    expect(AgentSession.parse(session)).toEqual(session);
  });

  test.each<[string, unknown]>([
    ["doorbell", undefined],
    ["doorbell.queueUrl", "the queue"],
    ["doorbell.region", undefined],
    ["doorbell.credentials.accessKeyId", undefined],
    ["doorbell.credentials.secretAccessKey", undefined],
    ["doorbell.credentials.sessionToken", undefined],
    ["doorbell.credentials.expiresAt", "soon"],
    // No pause at all would ask us without end.
    ["intervals.resyncSeconds", 0],
    ["intervals.usageSampleSeconds", 0],
    ["intervals.usageFlushSeconds", 0],
    ["releases.key", "k".repeat(44)],
    ["releases.wanted", undefined],
    ["releases.wanted.version", "1.2"],
    ["releases.wanted.version", "1.2.3-rc1"],
    ["releases.wanted.version", "123456.0.0"],
    ["releases.wanted.manifestUrl", "file:///etc/shadow"],
    ["releases.wanted.manifestUrl", `https://releases.example/${"m".repeat(2_000)}`],
  ])("may not have %s of %j", (path, value) => {
    expect(AgentSession.safeParse(withField(SESSION, path, value)).success).toBe(false);
  });
});

describe("a doorbell", () => {
  test("names a host and a generation, from 0 on", () => {
    for (const generation of [0, 34])
      expect(Doorbell.parse(oneFieldMore({ hostId: HOST, generation }))).toEqual({
        hostId: HOST,
        generation,
      });
  });

  test.each([{ hostId: "host", generation: 34 }, { hostId: HOST, generation: -1 }, {}])(
    "is not %j",
    (doorbell) => {
      expect(Doorbell.safeParse(doorbell).success).toBe(false);
    },
  );
});
