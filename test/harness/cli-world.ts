import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { runBerth } from "#cli/run.ts";
import type { World } from "#cli/world.ts";

/** What one command line said, and how it ended. */
export type Ran = Readonly<{ code: number; stdout: string; stderr: string }>;

/** A machine for the command line: nothing on it but what a test puts there. */
export type CliWorld = Readonly<{
  configFolder: string;
  /** Everything that was asked of the network. */
  asked: readonly Readonly<{ url: string; init: RequestInit }>[];
  /** How long was waited, each time. */
  slept: readonly number[];
  run: (words: readonly string[], more?: Machine) => Promise<Ran>;
  close: () => Promise<void>;
}>;
type Machine = Readonly<{
  env?: Readonly<Record<string, string>>;
  /** What a person types, a line each, on a terminal of so many columns; left out, there is none. */
  typed?: readonly string[];
  columns?: number;
  /** What is piped in. */
  piped?: string;
}>;

export async function aCliWorld(
  fetchThere: World["fetch"],
  options: Readonly<{
    env?: Readonly<Record<string, string>>;
    sleep?: World["clock"]["sleep"];
  }> = {},
): Promise<CliWorld> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "berth-cli-"));
  const asked: { url: string; init: RequestInit }[] = [];
  const slept: number[] = [];
  let now = Date.parse("2026-03-01T12:00:00.000Z");
  let keys = 0;
  return {
    configFolder: path.join(folder, "berth"),
    asked,
    slept,
    run: async (words, { env = {}, typed, columns = 80, piped = "" } = {}) => {
      const [stdout, stderr]: [string[], string[]] = [[], []];
      const lines = [...(typed ?? [])];
      const isTty = typed !== undefined;
      const outOf = (into: string[]) => ({
        isTty,
        columns,
        write: (t: string) => void into.push(t),
      });
      const code = await runBerth(words, {
        env: { ...options.env, ...env },
        configFolder: path.join(folder, "berth"),
        stdin: {
          isTty,
          text: async () => piped,
          line: async (question) => {
            stderr.push(question);
            return lines.shift() ?? "";
          },
        },
        stdout: outOf(stdout),
        stderr: outOf(stderr),
        clock: {
          now: () => new Date(now),
          sleep: async (ms) => {
            slept.push(ms);
            now += ms;
            await options.sleep?.(ms);
          },
        },
        fetch: async (url, init) => {
          asked.push({ url: url.href, init });
          return fetchThere(url, init);
        },
        newKey: () => `key-of-the-tests-${++keys}`,
        hostname: "desk-1",
      });
      return { code, stdout: stdout.join(""), stderr: stderr.join("") };
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

/** The API's answer to a path: a status and a body. */
export type Answers = Readonly<Record<string, readonly [status: number, body: unknown]>>;

/** An API that answers by method and path, each with what was told; else it knows nothing of it. */
export const answering =
  (answers: Answers): World["fetch"] =>
  async (url, { method }) => {
    const [status, body] = answers[`${method} ${url.pathname}`] ?? [
      404,
      aProblem("not_found", 404),
    ];
    return Response.json(body, { status });
  };

export const aProblem = (code: string, status: number, detail = `it is ${code}`) => ({
  type: `urn:berth:problem:${code}`,
  title: code,
  status,
  code,
  detail,
  instance: "req-1",
});
