import { COMMANDS, GROUPS } from "../commands/all.ts";
import type { Command, NameKind, Param } from "../commands/command.ts";
import { loadContexts } from "../contexts.ts";
import { folded } from "../names.ts";
import { optionName } from "../program.ts";
import { createSession, type Session } from "../session.ts";
import type { World } from "../world.ts";

export type Candidate = Readonly<{ word: string; about: string }>;

/** What stands for itself in every shell: a name with anything else in it is not offered. */
const SAFE = /^[A-Za-z0-9@%_+=:,./-]+$/;
/** A person waits: what takes longer is not offered. */
const ASK_MS = 1_500;
const MOST = 50;
const COMMON = ["--json", "--quiet", "--no-color", "--context", "--help"];

/**
 * What may stand where the last of `words` is typed; the others stand before it. They are words, whatever is in them:
 * none is run, and none but the last is sent anywhere.
 */
export async function candidates(
  words: readonly string[],
  world: World,
): Promise<readonly Candidate[]> {
  const typed = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const found = await offered(before, typed, world);
  return found.filter(({ word }) => word.startsWith(typed) && SAFE.test(word));
}

async function offered(
  before: readonly string[],
  typed: string,
  world: World,
): Promise<readonly Candidate[]> {
  const [group = "", verb = ""] = before;
  const found = commandOf(group) ?? commandOf(`${group} ${verb}`);
  if (found === undefined) return before.length < 2 ? wordsAfter(before) : [];
  const rest = before.slice(commandOf(group) === undefined ? 2 : 1);
  const options = Object.entries(found.options).map(([key, param]) => ({
    name: `--${optionName(key)}`,
    param,
  }));
  const last = rest.at(-1);
  const valued = options.find(({ name, param }) => name === last && param.value !== null);
  if (valued !== undefined) return ofParam(valued.param, typed, world);
  if (last === "--context") return ofNames("context", typed, world);
  if (typed.startsWith("-"))
    return [
      ...options
        .filter(({ name, param }) => param.many === true || !rest.includes(name))
        .map(({ name, param }) => ({ word: name, about: param.summary })),
      ...COMMON.map((word) => ({ word, about: "" })),
    ];
  const takesValue = (word: string | undefined) =>
    word === "--context" || options.some((o) => o.name === word && o.param.value !== null);
  const places = rest.filter((word, n) => !word.startsWith("-") && !takesValue(rest[n - 1]));
  const param = Object.values(found.args)[places.length];
  return param === undefined ? [] : ofParam(param, typed, world);
}

const commandOf = (words: string): Command | undefined =>
  COMMANDS.find((command) => command.words === words || command.also === words);

/** A group or a command by itself; after a group, its verbs. */
function wordsAfter([group]: readonly string[]): readonly Candidate[] {
  const all = COMMANDS.flatMap(({ words, also, summary }) =>
    [words, ...(also === undefined ? [] : [also])].map((w) => ({ words: w, summary })),
  );
  if (group !== undefined)
    return all
      .filter(({ words }) => words.startsWith(`${group} `))
      .map(({ words, summary }) => ({ word: words.slice(group.length + 1), about: summary }));
  const alone = all.filter(({ words }) => !words.includes(" "));
  return [
    ...Object.entries(GROUPS).map(([word, about]) => ({ word, about })),
    ...alone.map(({ words, summary }) => ({ word: words, about: summary })),
  ];
}

const ofParam = async (
  { choices, names }: Param<unknown>,
  typed: string,
  world: World,
): Promise<readonly Candidate[]> =>
  choices !== undefined
    ? choices.map((word) => ({ word, about: "" }))
    : names === undefined
      ? []
      : ofNames(names, typed, world);

/** Names of what there is; none where nobody answers in time, or it is not known whom to ask. */
async function ofNames(kind: NameKind, typed: string, world: World): Promise<readonly Candidate[]> {
  const hurried: World = {
    ...world,
    fetch: (url, init) => world.fetch(url, { ...init, signal: AbortSignal.timeout(ASK_MS) }),
    clock: { ...world.clock, sleep: () => Promise.reject(new Error("nobody waits for it")) },
  };
  const session = createSession(hurried, { json: false, quiet: true, color: false });
  try {
    return await NAMES[kind](session, typed);
  } catch {
    return [];
  }
}

type Names = (session: Session, typed: string) => Promise<readonly Candidate[]>;
const catalogue =
  (name: "listPlans" | "listImages" | "listLocations"): Names =>
  async (session) => {
    const { value } = await (await session.client()).call(name, { query: { limit: MOST } });
    return value.items.map((item) => ({ word: folded(item.name), about: item.name }));
  };
const found =
  (kind: "account" | "host" | "order" | "invoice"): Names =>
  async (session, typed) => {
    if (typed === "" || !(await session.isStaff())) return [];
    const client = await session.client();
    const { value } = await client.call("search", { query: { q: typed, limit: 25 } });
    return value.items
      .filter((item) => item.kind === kind)
      .map(({ id, title }) =>
        kind === "order" || kind === "invoice"
          ? { word: id, about: title }
          : { word: title, about: id },
      );
  };
const none: Names = async () => [];

const NAMES: Readonly<Record<NameKind, Names>> = {
  vm: async (session, typed) => {
    const client = await session.client();
    if (!(await session.isStaff())) {
      const { value } = await client.call("listVms", { query: { limit: MOST } });
      return value.items.map(({ id, hostname, status }) =>
        typed.startsWith("vm_") ? { word: id, about: hostname } : { word: hostname, about: status },
      );
    }
    if (typed === "") return [];
    const { value } = await client.call("search", { query: { q: typed, limit: 25 } });
    return value.items
      .filter(({ kind, gone }) => kind === "vm" && !gone)
      .map(({ id, title }) => ({ word: title, about: id }));
  },
  plan: catalogue("listPlans"),
  image: catalogue("listImages"),
  location: catalogue("listLocations"),
  host: found("host"),
  account: found("account"),
  order: found("order"),
  invoice: async (session, typed) => {
    if (await session.isStaff()) return found("invoice")(session, typed);
    const { value } = await (
      await session.client()
    ).call("listInvoices", { query: { limit: MOST } });
    return value.items.map(({ id, number, status }) => ({
      word: id,
      about: `${number ?? ""} ${status}`.trim(),
    }));
  },
  token: async (session) => {
    const { value } = await (await session.client()).call("listTokens", { query: { limit: MOST } });
    return value.items.map(({ id, name }) => ({ word: id, about: name }));
  },
  context: async ({ world }) => {
    const { contexts } = await loadContexts(world);
    return Object.entries(contexts).map(([word, { url }]) => ({ word, about: url }));
  },
  // The shell's own.
  file: none,
};
