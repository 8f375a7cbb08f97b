import { chmod, mkdir, open, readFile, rename, stat } from "node:fs/promises";
import path from "node:path";
import { Failure } from "./failure.ts";
import type { World } from "./world.ts";

/** A Berth, and who one is there. */
export type Context = Readonly<{
  url: string;
  token: string;
  /** As the API said when the context was made. */
  email: string;
  role: string;
}>;
export type Contexts = Readonly<{
  current: string | null;
  contexts: Readonly<Record<string, Context>>;
}>;
const NONE: Contexts = { current: null, contexts: {} };

/** What a context may be called: a word in any shell. */
export const CONTEXT_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

export const contextsFile = (world: Pick<World, "configFolder">): string =>
  path.join(world.configFolder, "contexts.json");

/** None where there is no file. One that others may read is refused, as ssh refuses such a key. */
export async function loadContexts(world: Pick<World, "configFolder">): Promise<Contexts> {
  const file = contextsFile(world);
  const found = await stat(file).catch(absent(file));
  if (found === undefined) return NONE;
  if (process.platform !== "win32" && (found.mode & 0o077) !== 0)
    throw new Failure(
      "usage",
      "contexts_readable",
      `others may read ${file}, and the tokens in it`,
      { wayOut: `chmod 600 ${file}; where others were on this machine, make new tokens` },
    );
  try {
    return parsed(JSON.parse(await readFile(file, "utf8")));
  } catch (cause) {
    throw new Failure("usage", "contexts_broken", `${file} is not as berth writes it`, {
      cause,
      wayOut: `mend it or move it away, and berth context add again`,
    });
  }
}

/** All of it or nothing, for its owner alone. */
export async function saveContexts(
  world: Pick<World, "configFolder">,
  contexts: Contexts,
): Promise<void> {
  const file = contextsFile(world);
  try {
    await writeFor(file, `${JSON.stringify(contexts, null, 2)}\n`);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Failure("failed", "contexts_unwritable", `${file} cannot be written: ${why}`, {
      cause,
      wayOut: "XDG_CONFIG_HOME names another folder for it",
    });
  }
}

async function writeFor(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const unfinished = `${file}.${process.pid}.tmp`;
  const handle = await open(unfinished, "w", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  // One that was left over keeps its own rights.
  await chmod(unfinished, 0o600);
  await rename(unfinished, file);
}

/** By hand: zod takes longer to load than all else that a command on contexts does. */
function parsed(raw: unknown): Contexts {
  const { current, contexts }: Record<string, unknown> = Object(raw);
  const read = Object.entries(Object(contexts)).map(([name, context]) => {
    const { url, token, email, role }: Record<string, unknown> = Object(context);
    return [
      name,
      { url: wordOf(url), token: wordOf(token), email: wordOf(email), role: wordOf(role) },
    ] as const;
  });
  return { current: current === null ? null : wordOf(current), contexts: Object.fromEntries(read) };
}

function wordOf(value: unknown): string {
  if (typeof value === "string") return value;
  throw new TypeError("a string is missing");
}

const NOT_THERE: ReadonlySet<unknown> = new Set(["ENOENT", "ENOTDIR"]);
const absent = (file: string) => (cause: unknown) => {
  if (NOT_THERE.has(Object(cause).code)) return undefined;
  throw new Failure("usage", "contexts_unreadable", `${file} cannot be read`, { cause });
};

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** The origin of a Berth's API. A token goes over plain HTTP to this machine only. */
export function originOf(url: string): URL {
  const origin = URL.parse(url);
  if (origin === null || !["http:", "https:"].includes(origin.protocol))
    throw new Failure("usage", "url_invalid", `${url} is no address of an API`, {
      wayOut: "such as https://api.example.com",
    });
  if (origin.protocol === "http:" && !LOOPBACK.test(origin.hostname))
    throw new Failure("usage", "url_insecure", `${url} would show the token to whoever listens`, {
      wayOut: "https://, or a tunnel to this machine",
    });
  if (origin.pathname !== "/" || origin.search !== "" || origin.username !== "")
    throw new Failure("usage", "url_invalid", `${url} is more than an origin`, {
      wayOut: origin.origin,
    });
  return origin;
}
