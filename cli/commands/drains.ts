import {
  DrainMethodName,
  DrainVmStateName,
  MOST_PARALLEL,
  USUAL_PARALLEL,
} from "#core/contracts/api/drains.ts";
import { MOST_NOTICE_HOURS } from "#core/contracts/api/hosts.ts";
import type { Answered } from "../api/client.ts";
import { Failure } from "../failure.ts";
import { byHash, FORCED } from "../forced.ts";
import { hostId } from "../names.ts";
import { NOTHING, when } from "../output/format.ts";
import { columnsOf, toned, type Block, type Shown } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import type { Session } from "../session.ts";
import { until, WATCH } from "../watch.ts";
import { command, count, oneOf, optional } from "./command.ts";
import { REASON } from "./desk.ts";
import { HOST } from "./hosts.ts";

/* A host is emptied (ADR 0058). */

type Drain = Answered<"showDrain">["value"]["drain"];
type Plan = Answered<"drainHost">["value"];

const drainCounts = ({ vms }: Pick<Drain, "vms">): string =>
  Object.entries(vms)
    .filter(([, number]) => number > 0)
    .map(([state, number]) => `${number} ${state.replace("left_out", "left out")}`)
    .join(", ") || "no VMs";

const windowOf = ({ window }: Drain): string =>
  window === null
    ? "whenever their turn comes"
    : `${when(window.startsAt)} to ${when(window.endsAt)}, ${window.told} customers told`;

const drainBlock = (drain: Drain): Block => ({
  kind: "fields",
  fields: [
    ["id", drain.id],
    ["outcome", drain.outcome === null ? toned("draining") : drain.outcome],
    ["vms", drainCounts(drain)],
    ["how", drain.method],
    ["at once", String(drain.maxParallel)],
    ["stops VMs", windowOf(drain)],
    ["reason", drain.reason],
    ["begun", when(drain.startedAt)],
    ["ended", when(drain.endedAt)],
  ],
});

const planBlock = (plan: Plan, done: boolean): readonly Block[] => [
  { kind: "lines", title: done ? "Begun:" : "It would:", lines: plan.effects },
  {
    kind: "table",
    columns: columnsOf("VM!", "NAME!", "TO", "HOW", "AGAINST IT NOW"),
    rows: plan.vms.map((vm) => [
      vm.vmId,
      vm.hostname,
      vm.destination?.name ?? NOTHING,
      vm.method ?? NOTHING,
      vm.against === null
        ? NOTHING
        : {
            text: vm.against.detail,
            tone: vm.against.passes ? ("wait" as const) : ("bad" as const),
          },
    ]),
  },
];

/** Where it is, or, watched, where it came to: VMs that stay say so by how the command ends. */
async function watched(
  session: Session,
  host: string,
  id: string,
  timeout: number | undefined,
): Promise<Shown> {
  const client = await session.client();
  const { seen, timedOut } = await until(
    session,
    host,
    timeout,
    () => client.call("showDrain", { path: { id } }),
    ({ value: { drain } }) => {
      const all = Object.values(drain.vms).reduce((sum, n) => sum + n, 0);
      const open = drain.vms.waiting + drain.vms.moving;
      return {
        percent: all === 0 ? 100 : Math.round(((all - open) / all) * 100),
        doing: drainCounts(drain),
        ended: drain.outcome !== null,
      };
    },
  );
  const { drain } = seen.value;
  const wayOut = `berth host drain-status ${host} --vms stays`;
  return {
    json: seen.raw,
    ids: [drain.id],
    blocks: [drainBlock(drain)],
    ...(timedOut
      ? {
          failed: new Failure("timed_out", "still_running", "it has not ended yet, and goes on", {
            wayOut: `berth host drain-status ${host} --watch`,
          }),
        }
      : drain.outcome === "empty"
        ? {}
        : {
            failed: new Failure("failed", "host_not_empty", "some of its VMs are there still", {
              wayOut,
            }),
          }),
  };
}

type Window = Readonly<{
  end: string | undefined;
  start: string | undefined;
  noticeHours: number | undefined;
}>;

/** undefined: none is asked for. A beginning or a notice without an end is a mistake, and nobody is stopped by it. */
function windowFrom({ end, start, noticeHours }: Window) {
  if (end !== undefined) return { startsAt: start, endsAt: end, noticeHours };
  if (start === undefined && noticeHours === undefined) return undefined;
  throw new Failure("usage", "end_missing", "a time in which VMs are stopped has an end", {
    wayOut: "add --end",
  });
}

export const drainCommands = [
  command("host drain", "Empty a host: its VMs move away, so many at once", {
    staff: true,
    args: { host: HOST },
    options: {
      method: oneOf("live where that can be, or all of them cold (auto)", DrainMethodName.options),
      maxParallel: count(`so many at once, at most (${USUAL_PARALLEL})`, MOST_PARALLEL),
      end: optional("stop running VMs until then alone, and tell their customers", {
        value: "instant",
      }),
      start: optional("stop running VMs from then on; left out, now", { value: "instant" }),
      noticeHours: count(
        "so many hours before that customers are told; 0 at its beginning",
        MOST_NOTICE_HOURS,
        0,
      ),
      reason: REASON,
      ...FORCED,
      ...WATCH,
    },
    run: async (session, { host }, options) => {
      const { method, maxParallel, reason, watch, timeout, end, start, noticeHours, ...forced } =
        options;
      const window = windowFrom({ end, start, noticeHours });
      const id = await hostId(session, host);
      const client = await session.client();
      const { answer, done } = await byHash(
        session,
        forced,
        `Empty ${host}?`,
        (more) =>
          client.call("drainHost", {
            path: { id },
            body: { method, maxParallel, window, reason, ...more },
          }),
        ({ value: { hash, effects, vms } }) => ({
          hash,
          effects: [
            ...effects,
            ...vms.map(
              (vm) =>
                `${vm.hostname}: ${vm.against?.detail ?? `${vm.method} to ${vm.destination?.name}`}`,
            ),
          ],
        }),
      );
      if (done && watch) return watched(session, host, id, timeout);
      const { value, raw } = answer;
      return {
        json: raw,
        ids: [value.hash],
        blocks: planBlock(value, done),
        next: done
          ? `berth host drain-status ${host} --watch`
          : `the same with --hash ${value.hash} begins it`,
      };
    },
  }),

  command("host drain-status", "How far a host is emptied, and what became of its VMs", {
    staff: true,
    args: { host: HOST },
    options: {
      vms: oneOf("those of its VMs alone", DrainVmStateName.options),
      ...RANGE,
      ...WATCH,
    },
    run: async (session, { host }, { vms: state, watch, timeout, ...range }) => {
      const id = await hostId(session, host);
      if (watch) return watched(session, host, id, timeout);
      const client = await session.client();
      const { value } = await client.call("showDrain", { path: { id }, query: { limit: 1 } });
      const of = { path: { id }, query: { state } };
      const { items, json, next } = await listed(session, "showDrain", of, range);
      return {
        json: { drain: value.drain, ...Object(json) },
        ids: items.map(({ vmId }) => vmId),
        next,
        blocks: [
          drainBlock(value.drain),
          {
            kind: "table",
            columns: columnsOf("VM!", "NAME!", "STATE!", "TO", "STEP", "WHY"),
            rows: items.map((vm) => [
              vm.vmId,
              vm.hostname,
              toned(vm.state),
              vm.destinationHostId ?? NOTHING,
              vm.step ?? NOTHING,
              vm.detail ?? NOTHING,
            ]),
          },
        ],
      };
    },
  }),
];
