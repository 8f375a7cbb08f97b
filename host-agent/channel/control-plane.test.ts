import { describe, expect, test } from "vitest";
import { realClock } from "#test/drivers/builders.ts";
import { ControlPlaneError, createHttpControlPlane, IdentityRevoked } from "./control-plane.ts";

const VM = "019e8313-f218-703c-8000-f45cadb518ed";
const HASH = "a".repeat(64);

/** A control plane behind a prefix that gives this answer, and what was asked of it and signed. */
function answering(answer: () => Response) {
  const asked: { url: string; method: string; headers: Headers; body: string }[] = [];
  const signed: string[][] = [];
  const plane = createHttpControlPlane({
    apiUrl: "http://127.0.0.1:9/some/where/",
    fetch: async (input, init) => {
      const request = new Request(input, init);
      const { url, method, headers } = request;
      asked.push({ url, method, headers, body: await request.text() });
      return answer();
    },
    clock: realClock,
    sign: async (...what) => {
      signed.push(what);
      return "a-token";
    },
  });
  return { plane, asked, signed };
}
const problem = (status: number, code: string) => () => Response.json({ code }, { status });
const failure = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => null,
    (error: unknown) => error,
  );

describe("the control plane over HTTP", () => {
  test("is asked for what is desired with what is held, and without a body", async () => {
    const { plane, asked, signed } = answering(() => new Response(null, { status: 304 }));
    expect(await plane.desired({ etag: `3-${HASH}`, atLeast: 4 })).toBeNull();
    const [first] = asked;
    if (first === undefined) throw new Error("it was asked");
    const { url, method, headers, body } = first;
    expect([method, url]).toEqual([
      "GET",
      "http://127.0.0.1:9/some/where/agent/v1/desired?atLeast=4",
    ]);
    expect(headers.get("if-none-match")).toBe(`"3-${HASH}"`);
    expect(headers.get("authorization")).toBe("Bearer a-token");
    expect(headers.has("content-type")).toBe(false);
    expect(body).toBe("");
    expect(signed).toEqual([["GET", "/some/where/agent/v1/desired?atLeast=4", ""]]);
    await plane.desired({ etag: null, atLeast: null });
    expect(asked[1]?.url).toBe("http://127.0.0.1:9/some/where/agent/v1/desired");
    expect(asked[1]?.headers.has("if-none-match")).toBe(false);
  });

  test("gives one VM's initial password to a signed POST that names it", async () => {
    const { plane, asked, signed } = answering(() => Response.json({ password: "Once-0nly-Pass" }));
    expect(await plane.initialPassword(VM)).toBe("Once-0nly-Pass");
    const path = `/some/where/agent/v1/vms/${VM}/initial-password`;
    expect(asked[0]).toMatchObject({
      method: "POST",
      url: `http://127.0.0.1:9${path}`,
      body: "{}",
    });
    expect(asked[0]?.headers.get("content-type")).toBe("application/json");
    expect(signed).toEqual([["POST", path, "{}"]]);
  });

  test("never tells in an error what an answer held", async () => {
    const { plane } = answering(() => Response.json({ password: ["Once-0nly-Pass"] }));
    const error = await failure(plane.initialPassword(VM));
    expect(error).toMatchObject({
      code: "bad_answer",
      message: expect.stringContaining("password"),
    });
    expect(String(error)).not.toContain("Once-0nly-Pass");
  });

  test.each([
    [401, "identity_revoked", true],
    // Any other refusal, and this word with any other status, ends no agent.
    [401, "unauthenticated", false],
    [403, "identity_revoked", false],
    [503, "unavailable", false],
  ])("that answers %i %s has revoked the identity: %s", async (status, code, revoked) => {
    const error = await failure(answering(problem(status, code)).plane.session());
    expect(error).toBeInstanceOf(ControlPlaneError);
    expect(error).toMatchObject({ status, code });
    expect(error instanceof IdentityRevoked).toBe(revoked);
  });

  test("is left alone when the agent stops", async () => {
    const { plane, asked } = answering(problem(503, "unavailable"));
    const stopped = AbortSignal.abort(new Error("the agent stops"));
    await expect(plane.session(stopped)).rejects.toThrow("the agent stops");
    expect(asked).toEqual([]);
  });
});
