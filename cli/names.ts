import type { Client } from "./api/client.ts";
import { Failure } from "./failure.ts";
import { listed } from "./pages.ts";
import type { Session } from "./session.ts";
import { wayOutOf } from "./way-out.ts";
import { ID_PREFIX, type IdKind } from "#core/ids.ts";
import { Currency } from "#core/money.ts";

/* What people call things, and their ids. Whoever gives an id asks nobody. */

/** So that nobody needs quotes: `debian-13` is `Debian 13`. */
export const folded = (name: string): string =>
  name
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}.]+/gu, "-")
    .replaceAll(/^-|-$/g, "");

export const isId = (kind: IdKind, text: string): boolean =>
  new RegExp(`^${ID_PREFIX[kind]}_[0-9a-f]{32}$`).test(text);

type Named = Readonly<{ id: string; names: readonly (string | null)[] }>;

/** The one of them that is called so. */
function theOne(kind: IdKind, name: string, found: readonly Named[]): string {
  const exact = found.filter(({ names }) => names.includes(name));
  const loose = found.filter(({ names }) =>
    names.some((n) => n !== null && folded(n) === folded(name)),
  );
  const [first, ...others] = exact.length > 0 ? exact : loose;
  const what = kind === "vm" ? "VM" : kind;
  if (first === undefined) {
    const code = `${kind}_not_found`;
    throw new Failure("missing", code, `no ${what} is called ${name}`, {
      wayOut: wayOutOf(code, "missing"),
    });
  }
  if (others.length > 0)
    throw new Failure("usage", "name_ambiguous", `several are called ${name}`, {
      wayOut: `its id: ${[first, ...others].map(({ id }) => id).join(", ")}`,
    });
  return first.id;
}

const CATALOGUE = { plan: "listPlans", image: "listImages", location: "listLocations" } as const;

/** The id of a plan, an image or a location. */
export async function catalogueId(
  session: Session,
  kind: keyof typeof CATALOGUE,
  name: string,
): Promise<string> {
  if (isId(kind, name)) return name;
  const { items } = await listed(session, CATALOGUE[kind], {}, { all: true });
  return theOne(
    kind,
    name,
    items.map(({ id, name }) => ({ id, names: [name] })),
  );
}

/** The id of a VM, by its host name or its label. Staff find everybody's, by host name or address. */
export async function vmId(session: Session, name: string): Promise<string> {
  if (isId("vm", name)) return name;
  if (await session.isStaff()) return foundByStaff(session, "vm", name);
  const { items } = await listed(session, "listVms", {}, { all: true });
  return theOne(
    "vm",
    name,
    items.map(({ id, hostname, label }) => ({ id, names: [hostname, label] })),
  );
}
export const hostId = async (session: Session, name: string): Promise<string> =>
  isId("host", name) ? name : foundByStaff(session, "host", name);
export const accountId = async (session: Session, name: string): Promise<string> =>
  isId("account", name) ? name : foundByStaff(session, "account", name);

async function foundByStaff(
  session: Session,
  kind: "vm" | "host" | "account",
  name: string,
): Promise<string> {
  const client: Client = await session.client();
  const { value } = await client.call("search", { query: { q: name, limit: 25 } });
  const found = value.items.filter((item) => item.kind === kind && !item.gone);
  return theOne(
    kind,
    name,
    found.map(({ id, title, matched }) => ({
      id,
      names: [title, matched === "address" ? name : null],
    })),
  );
}

/** Undefined stays so: a filter that was not given. */
export const maybe = async <T>(
  name: string | undefined,
  find: (name: string) => Promise<T>,
): Promise<T | undefined> => (name === undefined ? undefined : find(name));

/** In either case: people write it in capitals. */
export function currencyOf(text: string): Currency {
  const read = Currency.safeParse(text.toLowerCase());
  if (read.success) return read.data;
  throw new Failure("usage", "currency_unknown", `${text} is no currency`, {
    wayOut: "berth plan list shows what each plan is sold in",
  });
}
