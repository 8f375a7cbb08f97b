import { describe, expect, it } from "vitest";
import { systemClock, systemIds, systemSecrets } from "./clock.ts";

describe("the machine's clock", () => {
  it("is the machine's", () => {
    const before = Date.now();
    const now = systemClock.now().getTime();
    expect(now).toBeGreaterThanOrEqual(before);
    expect(now).toBeLessThanOrEqual(Date.now());
  });

  it("sleeps, and wakes with the reason when it is called off, before or meanwhile", async () => {
    await systemClock.sleep(1);
    const reason = new Error("called off");
    await expect(systemClock.sleep(1e6, AbortSignal.abort(reason))).rejects.toBe(reason);
    const later = new AbortController();
    const asleep = systemClock.sleep(1e6, later.signal);
    later.abort(reason);
    await expect(asleep).rejects.toBe(reason);
  });
});

it("ids are UUIDs of version 7, in the order of their making", () => {
  const made = Array.from({ length: 100 }, () => systemIds.newId());
  for (const id of made)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(made.toSorted()).toEqual(made);
  expect(new Set(made).size).toBe(100);
});

it("secrets have as many bytes as are asked for, each time others", () => {
  for (const bytes of [16, 32, 48]) {
    const secret = systemSecrets.newSecret(bytes);
    expect(secret).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(Buffer.from(secret, "base64url")).toHaveLength(bytes);
  }
  expect(systemSecrets.newSecret(32)).not.toBe(systemSecrets.newSecret(32));
});
