import { describe, expect, test } from "vitest";
import {
  announcement,
  ANNOUNCES_NOTHING,
  PROTOCOL,
  readAnnouncement,
  UNDERSTOOD,
} from "./protocol.ts";

const read = (headers: Record<string, string>) => readAnnouncement((name) => headers[name]);

describe("what an agent announces", () => {
  test("is read as it is sent", () => {
    expect(read(announcement())).toEqual({
      protocol: PROTOCOL,
      understands: [...UNDERSTOOD].sort(),
    });
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

  test("is nothing when there is no header: protocol 1, and no word", () => {
    expect(read({})).toEqual({ protocol: 1, understands: [] });
    expect(read({ "berth-understands": "ipv6" })).toEqual({ protocol: 1, understands: [] });
  });

  test("may have spaces about it", () => {
    expect(read({ "berth-protocol": " 2 ", "berth-understands": " ipv6 , second-disk " })).toEqual({
      protocol: 2,
      understands: ["ipv6", "second-disk"],
    });
  });

  test.each(["3", "10", "9999"])("is our newest protocol when the agent's is %s", (protocol) => {
    expect(read({ "berth-protocol": protocol })).toEqual({ protocol: 2, understands: [] });
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
    const far = "w,".repeat(2000);
    expect(read({ "berth-protocol": "2", "berth-understands": far }).understands).toEqual(["w"]);
    const further = `${far} `;
    expect(read({ "berth-protocol": "2", "berth-understands": further }).understands).toEqual([]);
  });
});
