import { MigrateVm, MoveQuery } from "#core/contracts/api/moves.ts";
import type { Answered } from "../api/client.ts";
import { Failure } from "../failure.ts";
import { byHash, FORCED } from "../forced.ts";
import { hostId, maybe, vmId } from "../names.ts";
import { bytes, NOTHING, when } from "../output/format.ts";
import { columnsOf, toned, type Block, type Shown } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import type { Session } from "../session.ts";
import { WATCH } from "../watch.ts";
import { showAction, stepsBlock } from "./actions.ts";
import { command, count, oneOf, optional, required, type Values } from "./command.ts";
import { REASON } from "./desk.ts";
import { VM } from "./vms.ts";

/* How staff bring a VM from one host to another. */

type Move = Answered<"showMove">["value"];
type Plan = Exclude<Answered<"migrateVm">["value"], { action: unknown }>;

const MOVE = required("a move's id", { value: "move" });
const MOST_MBIT = 400_000;
const OPTIONS = {
  host: optional("to this host (the best that placement finds)", { names: "host", value: "host" }),
  method: oneOf("while it runs, or off (auto)", MigrateVm.shape.method.options),
  mbit: count("send its disk no faster than so many Mbit/s", MOST_MBIT),
  reason: REASON,
  idempotencyKey: optional("the same key and request act once", { value: "key" }),
  ...FORCED,
  ...WATCH,
} as const;

const planBlocks = ({ source, destination, method, checks, effects }: Plan): readonly Block[] => [
  {
    kind: "fields",
    fields: [
      ["from", source.name],
      ["to", destination?.name ?? NOTHING],
      ["how", method ?? NOTHING],
    ],
  },
  {
    kind: "table",
    columns: columnsOf("CHECK!", "OK!", "WHY"),
    rows: checks.map(({ check, ok, detail }) => [
      check.replaceAll("_", " "),
      ok ? "yes" : { text: "no", tone: "bad" },
      detail,
    ]),
  },
  ...(effects.length === 0
    ? []
    : ([{ kind: "lines", title: "It would:", lines: effects }] as const)),
];

const refused = ({ checks }: Plan): Failure =>
  new Failure(
    "refused",
    "move_refused",
    checks.find(({ ok }) => !ok)?.detail ?? "it cannot be moved there",
    { wayOut: "another --host or --method; --dry-run shows all that it stands on" },
  );

async function migrate(
  session: Session,
  vm: string,
  options: Values<typeof OPTIONS>,
): Promise<Shown> {
  const { host, method = "auto", mbit, reason, idempotencyKey: key, ...more } = options;
  const { dryRun, hash, yes, ...watch } = more;
  const id = await vmId(session, vm);
  const client = await session.client();
  const to = await maybe(host, (name) => hostId(session, name));
  const body = { hostId: to, method, mbitPerSecond: mbit, reason };
  const call = (asked: object) =>
    client.call("migrateVm", { path: { id }, body: { ...body, ...asked }, key });
  const { answer } = await byHash(
    session,
    { dryRun, hash, yes },
    `Move ${vm}?`,
    call,
    ({ value }) => {
      if ("action" in value) throw new Error("a dry run has begun an action");
      if (value.hash === null) throw refused(value);
      return { hash: value.hash, effects: value.effects, blocks: planBlocks(value) };
    },
  );
  const { value, raw } = answer;
  if ("action" in value)
    return showAction(session, { value: value.action, raw: Object(raw).action }, watch, vm);
  return {
    json: raw,
    ids: value.hash === null ? [] : [value.hash],
    blocks: planBlocks(value),
    ...(value.hash === null
      ? { failed: refused(value) }
      : { next: `the same with --hash ${value.hash} does it` }),
  };
}

const whereTo = ({ source, destination }: Move): string => `${source.name} to ${destination.name}`;
const doneOf = ({ copied, total }: Move["bytes"]): string =>
  total === null ? NOTHING : `${bytes(copied)} of ${bytes(total)}`;

const moveBlocks = (move: Move): readonly Block[] => [
  {
    kind: "fields",
    fields: [
      ["id", move.id],
      ["VM", move.vmId],
      ["action", move.actionId],
      ["from", move.source.name],
      ["to", move.destination.name],
      ["how", move.method],
      ["step", move.step],
      ["came to", move.outcome ?? NOTHING],
      ["progress", `${move.progress}%`],
      ["copied", doneOf(move.bytes)],
      ["at most", move.mbitPerSecond === null ? NOTHING : `${move.mbitPerSecond} Mbit/s`],
      ["stood still", move.pauseMs === null ? NOTHING : `${move.pauseMs / 1000} s`],
      ["waits for", move.waitsFor?.detail ?? NOTHING],
      ["last heard", when(move.heardAt)],
      ["began", when(move.createdAt)],
      ["ended", when(move.endedAt)],
      ...(move.failure === null
        ? []
        : ([["turned back", `${move.failure.code}: ${move.failure.detail}`]] as const)),
    ],
  },
  stepsBlock(move.steps),
];

export const moveCommands = [
  command("vm migrate", "Move a VM to another host", {
    staff: true,
    args: { vm: VM },
    options: OPTIONS,
    run: (session, { vm }, options) => migrate(session, vm, options),
  }),

  command("move list", "Moves of VMs from host to host", {
    staff: true,
    options: {
      ...RANGE,
      vm: optional("of which VM", { names: "vm", value: "vm" }),
      host: optional("from or to which host", { names: "host", value: "host" }),
      state: oneOf("only those that are so (any)", MoveQuery.shape.state.unwrap().options),
    },
    run: async (session, _, { vm, host, state, ...range }) => {
      const query = {
        vmId: await maybe(vm, (name) => vmId(session, name)),
        hostId: await maybe(host, (name) => hostId(session, name)),
        state,
      };
      const { items, json, next } = await listed(session, "listMoves", { query }, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf(
              "ID!",
              "FROM AND TO",
              "HOW",
              "STEP!",
              "DONE",
              "CAME TO",
              "BEGAN?",
              "VM?",
            ),
            rows: items.map((move) => [
              move.id,
              whereTo(move),
              move.method,
              toned(move.step),
              `${move.progress}%`,
              move.outcome?.replaceAll("_", " ") ?? NOTHING,
              when(move.createdAt),
              move.vmId,
            ]),
          },
        ],
      };
    },
  }),

  command("move show", "One move, how far it is, and what it waits for", {
    staff: true,
    args: { move: MOVE },
    run: async (session, { move: id }) => {
      const client = await session.client();
      const { value, raw } = await client.call("showMove", { path: { id } });
      const isOpen = value.outcome === null;
      return {
        json: raw,
        ids: [id],
        blocks: moveBlocks(value),
        next: isOpen ? `berth action watch ${value.actionId}` : undefined,
      };
    },
  }),

  command("move stop", "Stop a move: its VM stays where it is", {
    staff: true,
    args: { move: MOVE },
    options: { reason: REASON, ...FORCED },
    run: async (session, { move: id }, { reason, ...options }) => {
      const client = await session.client();
      const { answer, done } = await byHash(
        session,
        options,
        `Stop the move ${id}?`,
        (more) => client.call("stopMove", { path: { id }, body: { reason, ...more } }),
        ({ value }) => value,
      );
      const { move, effects, hash } = answer.value;
      return {
        json: answer.raw,
        ids: [done ? id : hash],
        blocks:
          move === null
            ? [{ kind: "lines", title: "It would:", lines: effects }]
            : moveBlocks(move),
        next: done ? undefined : `the same with --hash ${hash} does it`,
      };
    },
  }),
];
