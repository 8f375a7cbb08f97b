import { createClient, type Client } from "./api/client.ts";
import { loadContexts, originOf, type Context, type Contexts } from "./contexts.ts";
import { Failure } from "./failure.ts";
import type { Block } from "./output/shown.ts";
import { render } from "./output/table.ts";
import type { World } from "./world.ts";

/** What stands before or after every command. */
export type Common = Readonly<{
  json: boolean;
  quiet: boolean;
  color: boolean;
  context?: string | undefined;
}>;

/** One run of a command: who asks, whom, and how. */
export type Session = Readonly<{
  world: World;
  common: Common;
  client: () => Promise<Client>;
  /** The API's origin. */
  origin: () => Promise<URL>;
  role: () => Promise<string>;
  isStaff: () => Promise<boolean>;
  /** Shows, on stderr, what it is about that is asked next. */
  explain: (blocks: readonly Block[]) => Promise<void>;
  /** Asks the person before something is destroyed, unless `yes` was given; refuses where nobody can be asked. */
  confirm: (question: string, yes: boolean | undefined) => Promise<void>;
}>;

type Whom = Readonly<{ url: URL; token: string | undefined; role: string | undefined }>;

export function createSession(world: World, common: Common): Session {
  const whom = once(async () => whomOf(world, common, await loadContexts(world)));
  const client = once(async () => {
    const { url, token } = await whom();
    return createClient(world, url, token);
  });
  const role = once(async () => {
    const known = (await whom()).role;
    return known ?? (await (await client()).call("showMe", {})).value.role;
  });
  return {
    world,
    common,
    client,
    origin: async () => (await whom()).url,
    role,
    isStaff: async () => (await role()) === "staff",
    explain: async (blocks) => {
      const { isTty, columns, write } = world.stderr;
      const kind = isTty ? "terminal" : "pipe";
      write(await render(blocks, { kind, columns, colour: false }));
    },
    confirm: async (question, yes) => {
      if (yes) return;
      if (!world.stdin.isTty)
        throw new Failure("usage", "not_confirmed", `this asks first: ${question}`, {
          wayOut: "--yes answers it",
        });
      const answer = await world.stdin.line(`${question} [y/N] `, false);
      if (!/^y(es)?$/i.test(answer.trim()))
        throw new Failure("failed", "not_confirmed", "nothing was done");
    },
  };
}

/** The environment goes before the chosen context, and `--context` before both. */
function whomOf({ env }: World, { context }: Common, { current, contexts }: Contexts): Whom {
  const [url, token] = [env["BERTH_URL"], env["BERTH_TOKEN"]];
  if (context === undefined && token !== undefined && token !== "") {
    const named = url ?? (current === null ? undefined : contexts[current]?.url);
    if (named === undefined)
      throw new Failure("usage", "no_url", "BERTH_TOKEN is set, and BERTH_URL is not", {
        wayOut: "BERTH_URL=https://…",
      });
    return { url: originOf(named), token, role: undefined };
  }
  const name = context ?? current;
  const found = name === null ? undefined : contexts[name];
  // A context's token is sent to nobody but whom it is for: what is public is there for anybody.
  if (context === undefined && url !== undefined && originOf(url).origin !== found?.url)
    return { url: originOf(url), token: undefined, role: undefined };
  if (found === undefined) throw noContext(name, contexts);
  return { url: originOf(found.url), token: found.token, role: found.role };
}

function noContext(name: string | null, contexts: Readonly<Record<string, Context>>): Failure {
  const names = Object.keys(contexts);
  if (name !== null)
    return new Failure("usage", "no_such_context", `there is no context ${name}`, {
      wayOut: names.length === 0 ? "berth context add" : `one of ${names.join(", ")}`,
    });
  return new Failure("access", "not_logged_in", "berth does not know whom to ask, and as whom", {
    wayOut: "berth login URL, berth context add, or BERTH_URL and BERTH_TOKEN",
  });
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
