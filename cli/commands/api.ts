import { Failure } from "../failure.ts";
import { readFile } from "node:fs/promises";
import { command, mustBeOneOf, optional, required } from "./command.ts";

export const apiCommands = [
  command("api", "Call the API as it is: what has no command of its own", {
    args: {
      method: mustBeOneOf("", ["GET", "POST", "PUT", "PATCH", "DELETE"], "method"),
      path: required("such as /v1/me, with its query", { value: "path" }),
    },
    options: {
      data: optional("the body, as JSON: itself, `@` and a file, or `-` for standard input", {
        value: "json",
      }),
      idempotencyKey: optional("sent with it; a POST has one anyway", { value: "key" }),
    },
    run: async (session, { method, path }, { data, idempotencyKey }) => {
      if (!/^\/(?!\/)/.test(path))
        throw new Failure("usage", "path_invalid", `${path} is no path of the API`, {
          wayOut: "such as /v1/me",
        });
      const body = data === undefined ? undefined : await bodyOf(data, session.world.stdin.text);
      const key = method === "POST" ? (idempotencyKey ?? session.world.newKey()) : undefined;
      const client = await session.client();
      const answer = await client.send({ method, path, body, key, repeatable: method === "GET" });
      return {
        json: answer.body,
        ids: [],
        blocks: [{ kind: "lines", lines: JSON.stringify(answer.body, null, 2).split("\n") }],
      };
    },
  }),
];

async function bodyOf(data: string, stdin: () => Promise<string>): Promise<unknown> {
  const text = data === "-" ? await stdin() : data.startsWith("@") ? await read(data) : data;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Failure("usage", "data_invalid", "--data is no JSON", { cause });
  }
}

const read = (data: string) =>
  readFile(data.slice(1), "utf8").catch((cause: unknown) => {
    throw new Failure("usage", "file_unreadable", `${data.slice(1)} cannot be read`, { cause });
  });
