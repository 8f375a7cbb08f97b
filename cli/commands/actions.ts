import { ActionView } from "#core/contracts/api/vms.ts";
import type { Answered } from "../api/client.ts";
import { byHash, FORCED } from "../forced.ts";
import { maybe, vmId } from "../names.ts";
import { NOTHING, when } from "../output/format.ts";
import { columnsOf, toned, type Block, type Shown } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import type { Session } from "../session.ts";
import { WATCH, watchAction } from "../watch.ts";
import { command, flag, oneOf, optional, required } from "./command.ts";

type Action = Answered<"showAction">;

const { type: TYPE, status: STATUS } = ActionView.shape;

export const stepsBlock = (steps: Action["value"]["steps"]): Block => ({
  kind: "table",
  columns: columnsOf("STEP!", "STATUS!", "BEGAN!", "ENDED!"),
  rows: steps.map((step) => [
    step.name,
    toned(step.status),
    when(step.startedAt),
    when(step.finishedAt),
  ]),
});

const blocksOf = (action: Action["value"]): readonly Block[] => [
  {
    kind: "fields",
    fields: [
      ["id", action.id],
      ["VM", action.vmId],
      ["type", action.type],
      ["status", toned(action.status)],
      ["progress", `${action.progress}%`],
      ...(action.payUrl === null ? [] : ([["pay at", action.payUrl]] as const)),
      ["began", when(action.startedAt)],
      ["ended", when(action.finishedAt)],
      ...(action.error === null
        ? []
        : ([["error", `${action.error.code}: ${action.error.message}`]] as const)),
    ],
  },
  stepsBlock(action.steps),
];

type Watch = Readonly<{ watch?: boolean | undefined; timeout?: number | undefined }>;

/** What every command answers that has begun an action; with `watch`, how it ended. */
export async function showAction(
  session: Session,
  begun: Action,
  { watch, timeout }: Watch,
  /** What the VM was called on the command line. */
  name: string,
): Promise<Shown> {
  const { id, type } = begun.value;
  if (!watch)
    return {
      json: begun.raw,
      ids: [id],
      blocks: blocksOf(begun.value),
      next: `berth action watch ${id}`,
    };
  const { action, failed } = await watchAction(session, id, `${type} ${name}`, timeout);
  return { json: action.raw, ids: [id], blocks: blocksOf(action.value), failed };
}

const COLUMNS = columnsOf("ID!", "TYPE", "STATUS!", "DONE", "ERROR", "BEGAN?", "VM?");

const ACTION = required("an action's id", { value: "action" });

export const actionCommands = [
  command("action show", "One action, with its steps", {
    args: { action: ACTION },
    run: async (session, { action: id }) => {
      const client = await session.client();
      const { value, raw } = await client.call("showAction", { path: { id } });
      return { json: raw, ids: [id], blocks: blocksOf(value) };
    },
  }),

  command("action watch", "Wait for the end of an action", {
    args: { action: ACTION },
    options: { timeout: WATCH.timeout },
    run: async (session, { action: id }, { timeout }) => {
      const { action, failed } = await watchAction(session, id, id, timeout);
      return { json: action.raw, ids: [id], blocks: blocksOf(action.value), failed };
    },
  }),

  command("action list", "Everybody's actions", {
    staff: true,
    options: {
      ...RANGE,
      vm: optional("of which VM", { names: "vm", value: "vm" }),
      status: oneOf("only those that are so", STATUS.options),
      type: oneOf("only these", TYPE.options),
      sort: oneOf("by when they began", ["startedAt", "-startedAt"]),
    },
    run: async (session, _, { vm, status, type, sort, ...range }) => {
      const ofVm = await maybe(vm, (name) => vmId(session, name));
      const { items, json, next } = await listed(
        session,
        "listActions",
        { query: { vmId: ofVm, status, type, sort } },
        range,
      );
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          {
            kind: "table",
            columns: COLUMNS,
            rows: items.map((action) => [
              action.id,
              action.type,
              toned(action.status),
              `${action.progress}%`,
              action.error?.code ?? NOTHING,
              when(action.startedAt),
              action.vmId,
            ]),
          },
        ],
      };
    },
  }),

  command("action cancel", "Call off an action that its host has not begun", {
    staff: true,
    args: { action: ACTION },
    options: {
      abandon: flag("give it up also when its host may have begun it"),
      ...FORCED,
    },
    run: async (session, { action: id }, { abandon = false, ...forced }) => {
      const client = await session.client();
      const { value: found } = await client.call("showAction", { path: { id } });
      const path = { id: found.vmId, actionId: id };
      const { answer, done } = await byHash(
        session,
        forced,
        `call off ${found.type} of ${found.vmId}?`,
        (more) => client.call("cancelAction", { path, body: { abandon, ...more } }),
        ({ value }) => value,
      );
      const { action, effects, hash } = answer.value;
      return {
        json: answer.raw,
        ids: [done ? id : hash],
        blocks:
          action === null
            ? [{ kind: "lines", title: "It would:", lines: effects }]
            : blocksOf(action),
        next: done ? undefined : `the same with --hash ${hash} does it`,
      };
    },
  }),
];
