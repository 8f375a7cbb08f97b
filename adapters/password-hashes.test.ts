import { expect, test } from "vitest";
import { createPasswordHashes, HASHES } from "./password-hashes.ts";

/** Hashing that ends when it is told to. */
function slowHashing() {
  const underWay: ((hash: string) => void)[] = [];
  let begun = 0;
  const hashPassword = (password: string) =>
    new Promise<string>((done) => {
      begun += 1;
      underWay.push(() => done(`hash of ${password}`));
    });
  return {
    hashes: createPasswordHashes({
      hashPassword,
      verifyPassword: async ({ hash, password }) => hash === (await hashPassword(password)),
    }),
    begun: () => begun,
    underWay: () => underWay.length,
    endOne: async () => {
      underWay.shift()?.("");
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

// 4b B1: forty at once took others' log-ins from 74 ms to 16.5 s.
test("of forty passwords at once a few are under way, a few wait, and the others are told to come again", async () => {
  const { hashes, underWay, begun, endOne } = slowHashing();
  const asked = Array.from({ length: 40 }, (_, n) => hashes.hash(`password ${n}`));
  const settled = Promise.allSettled(asked);
  expect(underWay()).toBe(HASHES.atOnce);
  for (let ended = 0; begun() < HASHES.atOnce + HASHES.waiting; ended++) {
    expect(ended).toBeLessThan(40);
    await endOne();
    expect(underWay()).toBe(HASHES.atOnce);
  }
  while (underWay() > 0) await endOne();
  const results = await settled;
  const taken = results.flatMap((r) => (r.status === "fulfilled" ? [r.value] : []));
  expect(taken).toEqual(
    Array.from({ length: HASHES.atOnce + HASHES.waiting }, (_, n) => `hash of password ${n}`),
  );
  for (const result of results.slice(taken.length))
    expect(result).toMatchObject({
      status: "rejected",
      reason: {
        status: "SERVICE_UNAVAILABLE",
        body: { code: "TOO_MANY_LOG_INS" },
        headers: { "retry-after": "1" },
      },
    });
  // Nothing is left that would keep the next ones waiting.
  const next = hashes.verify({ hash: "hash of right", password: "right" });
  await endOne();
  expect(await next).toBe(true);
});

test("a hash that fails hands its turn on", async () => {
  const hashes = createPasswordHashes({
    hashPassword: (password) =>
      password === "bad" ? Promise.reject(new Error("out of memory")) : Promise.resolve(password),
    verifyPassword: async () => false,
  });
  const all = ["bad", "bad", "bad", "good"].map((password) => hashes.hash(password));
  const results = await Promise.allSettled(all);
  expect(results.map((r) => r.status)).toEqual(["rejected", "rejected", "rejected", "fulfilled"]);
});

test("what was begun and must end waits for its turn, however many there are", async () => {
  const { hashes, endOne, underWay } = slowHashing();
  const waiting = Array.from({ length: 20 }, () => hashes.hashInTurn("x"));
  expect(underWay()).toBe(HASHES.atOnce);
  await expect(hashes.hash("another")).rejects.toMatchObject({ status: "SERVICE_UNAVAILABLE" });
  while (underWay() > 0) await endOne();
  expect(await Promise.all(waiting)).toHaveLength(20);
});
