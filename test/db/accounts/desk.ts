import { z } from "zod";
import type { StaffRole } from "#core/accounts/accounts.ts";
import type { Db } from "#db/client.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { accountsOn, aMember, BASE_URL, type Doors } from "./account-builders.ts";

/* A control plane with members of staff who ask it for things over HTTP. */

export type Said = Readonly<{ status: number; body: unknown }>;
export type Asking = (method: string, path: string, body?: object) => Promise<Said>;

export type Member = Readonly<{ accountId: string; ask: Asking }>;

export async function openDesk(): Promise<{
  cp: ControlPlane;
  accounts: Doors;
  member: (role: StaffRole) => Promise<Member>;
}> {
  let opened: Doors | undefined;
  const doorsOn = (db: Db) => (opened = accountsOn(db).accounts);
  const cp = await startControlPlane({ accounts: doorsOn });
  if (opened === undefined) throw new Error("the control plane asked for no accounts");
  const accounts = opened;
  const member = async (role: StaffRole) => {
    const { accountId, secret } = await aMember(accounts, role);
    const ask: Asking = async (method, path, body) => {
      const answer = await cp.fetch(
        new Request(`${BASE_URL}${path}`, {
          method,
          headers: {
            authorization: `Bearer ${secret}`,
            ...(body && { "content-type": "application/json" }),
          },
          ...(body && { body: JSON.stringify(body) }),
        }),
      );
      return { status: answer.status, body: await answer.json() };
    };
    return { accountId, ask };
  };
  return { cp, accounts, member };
}

const Page = z.object({
  items: z.array(z.looseObject({ id: z.string() })),
  nextCursor: z.string().nullable(),
});
export type Items = z.infer<typeof Page>["items"];

export async function listed(
  ask: Asking,
  list: string,
  query: Record<string, string> = {},
): Promise<z.infer<typeof Page>> {
  const { status, body } = await ask("GET", `${list}?${new URLSearchParams(query).toString()}`);
  if (status !== 200) throw new Error(`${list} answered ${status}: ${JSON.stringify(body)}`);
  return Page.parse(body);
}

/** The ids of a list that is read item by item. */
export async function walked(
  ask: Asking,
  list: string,
  query: Record<string, string> = {},
): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = null; ;) {
    const asked = { ...query, limit: "1", ...(cursor !== null && { cursor }) };
    const page: z.infer<typeof Page> = await listed(ask, list, asked);
    ids.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor;
    if (cursor === null) return ids;
  }
}
