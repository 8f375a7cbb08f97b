import { randomUUID } from "node:crypto";
import { z } from "zod";
import { SCOPES_OF_ROLE, type Scope } from "#core/accounts/accounts.ts";
import { createDesiredReader } from "#commands/vms/read-desired.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { createMeasure } from "#commands/measure.ts";
import { createApi } from "#functions/app.ts";
import { createSweep } from "#functions/sweep.ts";
import { toWireId } from "#core/ids.ts";
import { anAgentReport, aVmReport } from "#test/builders.ts";
import { anAccount, type Fleet } from "./bench-fleet-database.ts";
import { hostId, payerId, vmId, VMS_OF_A_HOST } from "./bench-fleet-rows.ts";
import { EXAMPLE_SSH_KEY } from "./client.ts";

/** What is measured: a call, made ready beforehand as often as it is asked for. */
export type Call = Readonly<{
  name: string;
  prepare: (times: number) => Promise<() => Promise<void>>;
}>;

const Ids = z.object({ items: z.array(z.object({ id: z.string(), name: z.string() })) });
const Answers = z.object({ $ref: z.string().optional() }).optional();
const Document = z.object({
  paths: z.record(
    z.string(),
    z.object({
      get: z
        .object({
          responses: z.object({
            200: z
              .object({
                content: z.object({ "application/json": z.object({ schema: Answers }) }).partial(),
              })
              .partial()
              .optional(),
          }),
        })
        .optional(),
    }),
  ),
});

export async function callsOf({ deps, customerId, staffId }: Fleet): Promise<readonly Call[]> {
  const api = createApi(deps);
  const ask = async (method: string, path: string, token: string, body?: object) => {
    const request = new Request(`${deps.settings.publicUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body && { "content-type": "application/json", "idempotency-key": randomUUID() }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const answer = await api.fetch(request);
    const said: unknown = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${JSON.stringify(said).slice(0, 300)}`);
    return said;
  };
  const tokenOf = async (accountId: string, role: "customer" | "staff" = "customer") => {
    const scopes: readonly Scope[] = SCOPES_OF_ROLE[role];
    const email = `${accountId}@example.test`;
    const made = await deps.accounts.createToken(
      { accountId, email, name: "Bench", role, scopes, via: "session" },
      { name: "bench", scopes, expiresInSeconds: null },
    );
    if (!made.ok) throw new Error(made.error.detail);
    return made.value.secret;
  };
  const [customer, staff] = [await tokenOf(customerId), await tokenOf(staffId, "staff")];
  const aNewcomer = async () => tokenOf(await anAccount(deps, "customer"));
  const idNamed = async (list: string, name: string) =>
    Ids.parse(await ask("GET", `/v1/${list}`, customer)).items.find((one) => one.name === name)?.id;
  const order = {
    planId: await idNamed("plans", "S"),
    imageId: await idNamed("images", "Debian 13"),
    locationId: await idNamed("locations", "local"),
    sshKeys: [EXAMPLE_SSH_KEY],
    billingInterval: "month",
    another: true,
  };
  const place = (token: string) =>
    ask("POST", "/v1/orders", token, { ...order, hostname: "bench" });
  const repeated = (name: string, call: () => Promise<unknown>): Call => ({
    name,
    prepare: async () => async () => void (await call()),
  });
  const byTurns = (name: string, buyer: (nth: number) => string | Promise<string>): Call => ({
    name,
    prepare: async (times) => {
      const tokens: string[] = [];
      for (let n = 0; n < times; n++) tokens.push(await buyer(n));
      return async () => void (await place(tokens.pop() ?? ""));
    },
  });
  const document = Document.parse(await ask("GET", "/openapi.json", customer));
  // Whatever answers a page: a list that is added is measured.
  const lists = Object.entries(document.paths).flatMap(([path, { get }]) =>
    get?.responses[200]?.content?.["application/json"]?.schema?.$ref?.endsWith("Page")
      ? [path]
      : [],
  );
  const read = createDesiredReader(deps);
  const host = hostId(0);
  const reported = Array.from({ length: VMS_OF_A_HOST }, (_, n) =>
    aVmReport({ vmId: vmId(n), generation: 1, ownerEpoch: 1 }),
  );
  const first = toWireId("vm", vmId(0));
  const payers = await Promise.all([0, 1, 2, 3].map((n) => tokenOf(payerId(n))));
  return [
    ...lists.map((path) =>
      repeated(`GET ${path}`, () => ask("GET", path, path.startsWith("/staff") ? staff : customer)),
    ),
    repeated("GET /v1/vms/{id}", () => ask("GET", `/v1/vms/${first}`, customer)),
    repeated("GET /v1/vms/{id}/usage", () => ask("GET", `/v1/vms/${first}/usage`, customer)),
    repeated("GET /staff/v1/hosts/{id}", () =>
      ask("GET", `/staff/v1/hosts/${toWireId("host", host)}`, staff),
    ),
    byTurns("POST /v1/orders, of who has paid", (n) => payers[n % payers.length] ?? ""),
    byTurns("POST /v1/orders, of newcomers", aNewcomer),
    repeated("a host's desired document", () =>
      read(host, { etag: undefined, announced: { protocol: 2, understands: [] }, atLeast: 0 }),
    ),
    repeated("a host's report of its VMs", () =>
      recordReport(deps, host, anAgentReport({ vms: reported })),
    ),
    repeated("a sweep", createSweep(deps)),
    // A new one each time: one alone would ask once in ten seconds.
    repeated("what /metrics reads", () => createMeasure(deps, 60_000)()),
  ];
}
