import { describe, expect, test } from "vitest";
import { announcement, ANNOUNCES_NOTHING, readAnnouncement } from "./protocol.ts";

const read = (headers: Record<string, string>) => readAnnouncement((name) => headers[name]);

describe("what an agent announces", () => {
  test("is read as it is sent", () => {
    expect(read(announcement())).toEqual({ protocol: 2, understands: [] });
    expect(read(announcement(["second-disk", "ipv6"]))).toEqual({
      protocol: 2,
      understands: ["ipv6", "second-disk"],
    });
  });

  test.each(["", "1", "0", "-2", "2.0", "two", "99999", "2,2"])(
    "is nothing when the protocol is %j",
    (protocol) => {
      expect(read({ "berth-protocol": protocol, "berth-understands": "ipv6" })).toEqual(
        ANNOUNCES_NOTHING,
      );
    },
  );

  test("is our newest protocol when the agent's is newer", () => {
    expect(read({ "berth-protocol": "3" }).protocol).toBe(2);
  });

  test("holds each word once, in order, and nothing that is no word", () => {
    const understands = `b, a,,b,A,${"x".repeat(41)},'; drop table,é,a`;
    expect(read({ "berth-protocol": "2", "berth-understands": understands }).understands).toEqual([
      "a",
      "b",
    ]);
  });

  test("is bounded: a hundred words, and none of a list beyond all measure", () => {
    const many = Array.from({ length: 150 }, (_, n) => `w${n}`).join(",");
    expect(read({ "berth-protocol": "2", "berth-understands": many }).understands).toHaveLength(
      100,
    );
    const far = "w,".repeat(3000);
    expect(read({ "berth-protocol": "2", "berth-understands": far }).understands).toEqual([]);
  });
});
