import type { Answered } from "../api/client.ts";
import { Failure } from "../failure.ts";
import { hostId } from "../names.ts";
import { NOTHING, when } from "../output/format.ts";
import { columnsOf, toned, type Block } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import { command, count, flag, mustBeOneOf, optional, required, several } from "./command.ts";

type Rollout = Answered<"showAgentRollout">["value"];

const ROLLOUT = required("a rollout's id", { value: "rollout" });

const blockOf = (rollout: Rollout): Block => ({
  kind: "fields",
  fields: [
    ["id", rollout.id],
    ["version", rollout.version],
    ["group", rollout.group ?? NOTHING],
    ["state", toned(rollout.state)],
    ["at a time", String(rollout.atATime)],
    ["stops after", `${rollout.stopAfterFailed} failed`],
    ["hosts", hostsOf(rollout)],
    ["began", when(rollout.createdAt)],
  ],
});
const hostsOf = ({ hosts }: Rollout): string =>
  Object.entries(hosts)
    .filter(([, number]) => number > 0)
    .map(([how, number]) => `${number} ${how.replace("leftOut", "left out")}`)
    .join(", ");

const STATE_OF = { pause: "paused", resume: "running", cancel: "cancelled" } as const;

export const fleetCommands = [
  command("release list", "Releases of the agent", {
    staff: true,
    options: { ...RANGE },
    run: async (session, _, range) => {
      const { items, json, next } = await listed(session, "listAgentReleases", {}, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf("ID!", "VERSION!", "REGISTERED", "MANIFEST?"),
            rows: items.map((r) => [r.id, r.version, when(r.createdAt), r.manifestUrl]),
          },
        ],
      };
    },
  }),

  command("release add", "Register a release of the agent, by its signed manifest", {
    staff: true,
    args: {
      version: required("as the agents of it say it", { value: "version" }),
      manifest: required("where its manifest lies", { value: "url" }),
    },
    run: async (session, { version, manifest }) => {
      const client = await session.client();
      const { value, raw } = await client.call("registerAgentRelease", {
        body: { version, manifestUrl: manifest },
      });
      return {
        json: raw,
        ids: [value.id],
        blocks: [{ kind: "lines", lines: [`${value.version} is registered as ${value.id}`] }],
        next: `berth rollout begin ${value.version} --group GROUP`,
      };
    },
  }),

  command("rollout list", "Rollouts of releases to hosts", {
    staff: true,
    options: { ...RANGE },
    run: async (session, _, range) => {
      const { items, json, next } = await listed(session, "listAgentRollouts", {}, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf("ID!", "VERSION!", "STATE!", "HOSTS", "GROUP?", "BEGAN?"),
            rows: items.map((rollout) => [
              rollout.id,
              rollout.version,
              toned(rollout.state),
              hostsOf(rollout),
              rollout.group ?? NOTHING,
              when(rollout.createdAt),
            ]),
          },
        ],
      };
    },
  }),

  command("rollout show", "One rollout, and how far it is", {
    staff: true,
    args: { rollout: ROLLOUT },
    run: async (session, { rollout: id }) => {
      const client = await session.client();
      const { value, raw } = await client.call("showAgentRollout", { path: { id } });
      return { json: raw, ids: [id], blocks: [blockOf(value)] };
    },
  }),

  command("rollout begin", "Bring a release to hosts, so many at a time", {
    staff: true,
    args: { version: required("a registered release's version", { value: "version" }) },
    options: {
      group: optional("to the hosts that are in this group now", { value: "group" }),
      host: several("to this host; may be given again", { names: "host", value: "host" }),
      atATime: count("so many hosts upgrade at once, at the most (1)", 1_000),
      stopAfterFailed: count("it pauses when so many could not (1)", 1_000),
    },
    run: async (session, { version }, { group, host, atATime, stopAfterFailed }) => {
      if ((group === undefined) === (host === undefined))
        throw new Failure("usage", "which_hosts", "to which hosts?", {
          wayOut: "--group GROUP, or --host HOST as often as there are hosts",
        });
      const hosts =
        group === undefined
          ? { ids: await Promise.all((host ?? []).map((name) => hostId(session, name))) }
          : { group };
      const client = await session.client();
      const { value, raw } = await client.call("beginAgentRollout", {
        body: { version, hosts, atATime, stopAfterFailed },
      });
      return {
        json: raw,
        ids: [value.id],
        blocks: [blockOf(value)],
        next: `berth rollout show ${value.id}`,
      };
    },
  }),

  command("rollout change", "Pause, resume or cancel a rollout", {
    staff: true,
    args: {
      rollout: ROLLOUT,
      how: mustBeOneOf("", ["pause", "resume", "cancel"], "how"),
    },
    options: { yes: flag("do not ask before `cancel`") },
    run: async (session, { rollout: id, how }, { yes }) => {
      if (how === "cancel") await session.confirm(`Cancel the rollout ${id}?`, yes);
      const client = await session.client();
      const { value, raw } = await client.call("changeAgentRollout", {
        path: { id },
        body: { state: STATE_OF[how] },
      });
      return { json: raw, ids: [id], blocks: [blockOf(value)] };
    },
  }),
];
