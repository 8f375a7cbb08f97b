import { readFile } from "node:fs/promises";
import { createClient } from "../api/client.ts";
import { CONTEXT_NAME, loadContexts, originOf, saveContexts, type Context } from "../contexts.ts";
import { Failure } from "../failure.ts";
import { makeToken } from "../log-in.ts";
import { columnsOf, type Shown } from "../output/shown.ts";
import type { Session } from "../session.ts";
import { command, flag, optional, required } from "./command.ts";

const NAME = { names: "context", value: "name" } as const;
const URL_OF_API = required("the API's address, such as https://api.example.com", { value: "url" });

/** From a file or standard input, or typed where nobody sees it; never from the command line, which others may read. */
async function givenToken(session: Session, file: string | undefined): Promise<string> {
  const { stdin } = session.world;
  const text =
    file !== undefined
      ? await readFile(file, "utf8").catch((cause: unknown) => {
          throw new Failure("usage", "file_unreadable", `${file} cannot be read`, { cause });
        })
      : stdin.isTty
        ? await stdin.line("API token (not shown): ", true)
        : await stdin.text();
  const token = text.trim();
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new Failure("usage", "token_missing", "no token was given", {
      wayOut: "type it, pipe it in, or --token-file FILE",
    });
  return token;
}

/** Keeps a context, once the API has said whose token it is. */
async function keep(session: Session, name: string, url: URL, token: string): Promise<Shown> {
  const client = createClient(session.world, url, token);
  const { email, role } = (await client.call("showMe", {})).value;
  const { contexts } = await loadContexts(session.world);
  const context: Context = { url: url.origin, token, email, role };
  await saveContexts(session.world, { current: name, contexts: { ...contexts, [name]: context } });
  return {
    json: { name, url: url.origin, email, role },
    ids: [name],
    blocks: [
      { kind: "lines", lines: [`${name}: ${email} (${role}) at ${url.origin}, in use now`] },
    ],
  };
}

function checkedName(name: string): string {
  if (CONTEXT_NAME.test(name)) return name;
  throw new Failure("usage", "name_invalid", `${name} is no name of a context`, {
    wayOut: "small letters, digits, `.`, `_` and `-`",
  });
}

async function knownName(session: Session, name: string) {
  const known = await loadContexts(session.world);
  if (known.contexts[name] === undefined)
    throw new Failure("missing", "no_such_context", `there is no context ${name}`, {
      wayOut: "berth context list",
    });
  return known;
}

export const contextCommands = [
  command("login", "Log in with e-mail and password: makes a token for this machine and keeps it", {
    args: { url: URL_OF_API },
    options: {
      name: optional("what the context is called (default)", NAME),
      email: optional("whom to log in; asked for when left out", { value: "address" }),
    },
    run: async (session, { url }, { name, email }) => {
      const context = checkedName(name ?? "default");
      const origin = originOf(url);
      return keep(session, context, origin, await makeToken(session.world, origin, email));
    },
  }),

  command("context add", "Keep an API token, by a name, and use it from now on", {
    args: { name: required("what you call it", NAME), url: URL_OF_API },
    options: {
      tokenFile: optional("read the token from there; else it is typed, or piped in", {
        names: "file",
        value: "file",
      }),
    },
    run: async (session, { name, url }, { tokenFile }) => {
      const origin = originOf(url);
      return keep(session, checkedName(name), origin, await givenToken(session, tokenFile));
    },
  }),

  command("context list", "The contexts that are kept; `*` marks the one in use", {
    run: async (session) => {
      const { current, contexts } = await loadContexts(session.world);
      const rows = Object.entries(contexts).toSorted(([a], [b]) => (a < b ? -1 : 1));
      return {
        json: rows.map(([name, { url, email, role }]) => ({
          name,
          url,
          email,
          role,
          current: name === current,
        })),
        ids: rows.map(([name]) => name),
        blocks: [
          {
            kind: "table",
            columns: columnsOf("", "NAME!", "ADDRESS!", "WHO", "ROLE"),
            rows: rows.map(([name, { url, email, role }]) => [
              name === current ? "*" : "",
              name,
              url,
              email,
              role,
            ]),
          },
        ],
      };
    },
  }),

  command("context use", "Use a context from now on", {
    args: { name: required("a context", NAME) },
    run: async (session, { name }) => {
      const { contexts } = await knownName(session, name);
      await saveContexts(session.world, { current: name, contexts });
      return {
        json: { name },
        ids: [name],
        blocks: [{ kind: "lines", lines: [`${name} is in use`] }],
      };
    },
  }),

  command("context remove", "Forget a context; its token stays good until it is revoked", {
    args: { name: required("a context", NAME) },
    options: { yes: flag("do not ask") },
    run: async (session, { name }, { yes }) => {
      const { current, contexts } = await knownName(session, name);
      await session.confirm(`Forget the token of ${name}?`, yes);
      const { [name]: _, ...others } = contexts;
      await saveContexts(session.world, {
        current: current === name ? null : current,
        contexts: others,
      });
      return {
        json: { name },
        ids: [name],
        blocks: [{ kind: "lines", lines: [`${name} is forgotten`] }],
      };
    },
  }),
];
