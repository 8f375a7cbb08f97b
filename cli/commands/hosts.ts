import { HostView } from "#core/contracts/api/hosts.ts";
import type { Answered } from "../api/client.ts";
import { Failure } from "../failure.ts";
import { byHash, FORCED } from "../forced.ts";
import { catalogueId, hostId, isId, maybe, vmId } from "../names.ts";
import { listed as joined, mib, NOTHING, when } from "../output/format.ts";
import { columnsOf, toned, type Block, type Shown } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import type { Session } from "../session.ts";
import { command, count, flag, mustBeOneOf, oneOf, optional, required } from "./command.ts";
import { vmBlock } from "./vms.ts";

export const HOST = required("a host's name or id", { names: "host", value: "host" });

type Finding = Answered<"listFindings">["value"]["items"][number];
type Details = Answered<"showHost">["value"];

const FINDING_COLUMNS = columnsOf("KIND!", "SUBJECT", "SINCE!", "ENDED?", "WHAT IS AMISS");
const findingRow = (finding: Finding) => [
  finding.kind,
  finding.subject,
  when(finding.firstSeenAt),
  when(finding.endedAt),
  finding.detail,
];
const findingsBlock = (findings: readonly Finding[]): readonly Block[] =>
  findings.length === 0
    ? []
    : [{ kind: "table", columns: FINDING_COLUMNS, rows: findings.map(findingRow) }];

const room = (of: { vcpus: number; memoryMib: number; diskGib: number; vms?: number }): string =>
  [
    `${of.vcpus} vCPU`,
    mib(of.memoryMib),
    `${of.diskGib} GiB disk`,
    ...(of.vms === undefined ? [] : [`${of.vms} VMs`]),
  ].join(", ");

const maintenanceOf = ({ maintenance }: Details): string => {
  if (maintenance === null) return NOTHING;
  const { startsAt, endsAt, begunAt, told } = maintenance;
  const since = begunAt === null ? `from ${when(startsAt)}` : `since ${when(begunAt)}`;
  return `${since} until ${when(endsAt)}, ${told} customers told`;
};

const drainOf = ({ drain }: Details): string => {
  if (drain === null) return NOTHING;
  const { moved, gone, left_out: leftOut, ...rest } = drain.vms;
  const left = rest.waiting + rest.moving + rest.stays + leftOut;
  const outcome = drain.outcome === null ? "goes on" : `ended ${drain.outcome}`;
  return `${outcome}: ${moved + gone} away, ${left} here`;
};

const hostBlock = (host: Details): Block => ({
  kind: "fields",
  fields: [
    ["id", host.id],
    ["name", host.name],
    ["state", toned(host.state)],
    ["location", host.locationId],
    ["group", host.group ?? NOTHING],
    ["hypervisor", `${host.hypervisor ?? "not known"} ${host.hypervisorVersion ?? ""}`.trim()],
    ["system", host.osVersion ?? NOTHING],
    ["agent", host.agentVersion ?? NOTHING],
    ["has", room(host.capacity)],
    ["given away", room(host.allocated)],
    ["at most", room(host.ceiling)],
    ["overcommit", String(host.cpuOvercommit)],
    ["maintenance", maintenanceOf(host)],
    ["drain", drainOf(host)],
    ["last seen", when(host.lastSeenAt)],
    ...(host.silentSince === null
      ? []
      : ([["silent since", { text: when(host.silentSince), tone: "bad" }]] as const)),
    ["images", host.images === null ? NOTHING : joined(host.images.map(({ file }) => file))],
    ["lacks", joined(host.missing.map(({ capability }) => capability))],
  ],
});

const joinTokenShown = (added: Answered<"addHost">["value"], raw: unknown): Shown => ({
  json: raw,
  ids: [added.host.id],
  blocks: [
    {
      kind: "fields",
      fields: [
        ["id", added.host.id],
        ["name", added.host.name],
        ["join token", added.joinToken],
        ["good until", when(added.joinTokenExpiresAt)],
      ],
    },
  ],
  next: "on the host: berth-agent enroll, with this token",
});

/** Why a host gets no VMs, and what is amiss with it. */
const whyHost = (host: Details): readonly Block[] => [
  {
    kind: "lines",
    title: host.whyNoVms.length === 0 ? "It gets VMs." : "It gets no VMs:",
    lines: host.whyNoVms.map(({ code, detail }) => `${code}: ${detail}`),
  },
  ...(host.whyNotAll.length === 0
    ? []
    : ([
        {
          kind: "lines",
          title: "Not all plans and images:",
          lines: host.whyNotAll.map(({ code, detail }) => `${code}: ${detail}`),
        },
      ] as const)),
  ...(host.hints.length === 0
    ? []
    : ([
        {
          kind: "lines",
          title: "Better known:",
          lines: host.hints.map(({ code, detail }) => `${code}: ${detail}`),
        },
      ] as const)),
  ...findingsBlock(host.findings),
];

/** How a VM stands, what its actions wait for, and what is amiss with it and its host. */
async function whyVm(session: Session, id: string) {
  const client = await session.client();
  const { value: vm, raw } = await client.call("showStaffVm", { path: { id } });
  const waiting = vm.actions.filter(({ waitsFor }) => waitsFor !== null);
  const blocks: readonly Block[] = [
    vmBlock({
      ...vm,
      lastError: vm.lastError && { code: vm.lastError.code, message: vm.lastError.detail },
    }),
    {
      kind: "fields",
      fields: [
        ["on host", `${vm.host.name} (${vm.host.id})`],
        ["host seen", when(vm.host.lastSeenAt)],
        ...(vm.host.silentSince === null
          ? []
          : ([["silent since", { text: when(vm.host.silentSince), tone: "bad" }]] as const)),
        ["generation", `wanted ${vm.generation.wanted}, seen ${vm.generation.seen}`],
        ["observed", when(vm.observedAt)],
        ...(vm.lastError === null
          ? []
          : ([
              ["error since", `${when(vm.lastError.since)}, ${vm.lastError.times} times`],
            ] as const)),
      ],
    },
    {
      kind: "lines",
      title: waiting.length === 0 ? "Nothing is under way." : "Under way:",
      lines: waiting.map(
        ({ id, type, waitsFor }) => `${type} ${id} waits: ${waitsFor?.code}, ${waitsFor?.detail}`,
      ),
    },
    ...findingsBlock(vm.findings),
  ];
  return { json: raw, ids: [id], blocks };
}

export const hostCommands = [
  command("host list", "Hosts, with the room that they have", {
    staff: true,
    options: {
      ...RANGE,
      location: optional("at which location", { names: "location", value: "location" }),
      state: oneOf("only those that are so", HostView.shape.state.options),
      group: optional("only those of this group", { value: "group" }),
      sort: oneOf("in which order", ["createdAt", "-createdAt", "name", "-name"]),
    },
    run: async (session, _, { limit, all, cursor, location, ...query }) => {
      const range = { limit, all, cursor };
      const locationId = await maybe(location, (n) => catalogueId(session, "location", n));
      const { items, json, next } = await listed(
        session,
        "listHosts",
        { query: { ...query, locationId } },
        range,
      );
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf(
              "NAME!",
              "STATE!",
              "HYPERVISOR",
              "VMS",
              "MEMORY GIVEN",
              "SEEN!",
              "AMISS",
              "ID?",
            ),
            rows: items.map((host) => [
              host.name,
              toned(host.state),
              host.hypervisor ?? NOTHING,
              String(host.allocated.vms),
              `${mib(host.allocated.memoryMib)} of ${mib(host.capacity.memoryMib)}`,
              when(host.lastSeenAt),
              host.openFindings === 0
                ? NOTHING
                : { text: String(host.openFindings), tone: "bad" as const },
              host.id,
            ]),
          },
        ],
      };
    },
  }),

  command("host show", "One host, and what is amiss with it", {
    staff: true,
    args: { host: HOST },
    run: async (session, { host }) => {
      const id = await hostId(session, host);
      const client = await session.client();
      const { value, raw } = await client.call("showHost", { path: { id } });
      return { json: raw, ids: [id], blocks: [hostBlock(value), ...whyHost(value)] };
    },
  }),

  command("host add", "Add a host: prints what its agent enrols with, good once", {
    staff: true,
    args: { name: required("what it is called", { value: "name" }) },
    options: {
      location: required("where it stands", { names: "location", value: "location" }),
      group: optional("hosts that are treated alike", { value: "group" }),
      testOnly: flag("for no customer's VMs"),
      idempotencyKey: optional("the same key and request add one host", { value: "key" }),
    },
    run: async (session, { name }, { location, group, testOnly, idempotencyKey }) => {
      const locationId = await catalogueId(session, "location", location);
      const client = await session.client();
      const { value, raw } = await client.call("addHost", {
        key: idempotencyKey,
        body: { name, locationId, group, testOnly },
      });
      return joinTokenShown(value, raw);
    },
  }),

  command("host join-token", "Another token for a host's agent to enrol with, good once", {
    staff: true,
    args: { host: HOST },
    run: async (session, { host }) => {
      const id = await hostId(session, host);
      const client = await session.client();
      const { value, raw } = await client.call("issueJoinToken", { path: { id } });
      return joinTokenShown(value, raw);
    },
  }),

  command("host group", "Put a host into a group, or out of any", {
    staff: true,
    args: {
      host: HOST,
      group: optional("the group; left out, it is in none", { value: "group" }),
    },
    run: async (session, { host, group }) => {
      const id = await hostId(session, host);
      const client = await session.client();
      const { value, raw } = await client.call("changeHost", {
        path: { id },
        body: { group: group ?? null },
      });
      return {
        json: raw,
        ids: [id],
        blocks: [{ kind: "lines", lines: [`${value.name} is in ${value.group ?? "no group"}`] }],
      };
    },
  }),

  command("host set", "Change a host's name, its mark for tests, or what it may give away", {
    staff: true,
    args: { host: HOST },
    options: {
      name: optional("what it is called from now on", { value: "name" }),
      overcommit: count("vCPUs that it may give away, a CPU thread", 32),
      testOnly: oneOf("whether it is for tests", ["yes", "no"]),
    },
    run: async (session, { host }, { name, overcommit, testOnly }) => {
      const id = await hostId(session, host);
      const client = await session.client();
      const { value, raw } = await client.call("changeHost", {
        path: { id },
        body: {
          name,
          cpuOvercommit: overcommit,
          testOnly: testOnly === undefined ? undefined : testOnly === "yes",
        },
      });
      const given = `${room(value.allocated)} of ${room(value.capacity)} are given away`;
      return {
        json: raw,
        ids: [id],
        blocks: [
          {
            kind: "lines",
            lines: [
              `${value.name}: overcommit ${value.cpuOvercommit}, ${value.testOnly ? "" : "not "}for tests`,
              given,
            ],
          },
        ],
      };
    },
  }),

  command("host repair", "Bring back all VMs that a host has lost", {
    staff: true,
    args: {
      host: HOST,
      how: mustBeOneOf(
        "on their disks, on those in its trash, or anew without what was on them",
        ["adopt_disk", "restore_trash", "recreate"],
        "how",
      ),
    },
    options: { ...FORCED },
    run: async (session, { host, how }, forced) => {
      const id = await hostId(session, host);
      const client = await session.client();
      const { answer, done } = await byHash(
        session,
        forced,
        `${how} all that ${host} has lost?`,
        (more) => client.call("repairHost", { path: { id }, body: { how, ...more } }),
        ({ value: { hash, vms } }) => ({
          hash,
          effects: vms.map(
            (vm) => `${vm.hostname}: ${vm.refused?.detail ?? vm.effects.join("; ")}`,
          ),
        }),
      );
      const { value, raw } = answer;
      return {
        json: raw,
        ids: value.vms.map(({ vmId }) => vmId),
        next: done ? undefined : `berth host repair ${host} ${how} --hash ${value.hash}`,
        blocks: [
          {
            kind: "table",
            columns: columnsOf("VM!", "HOST NAME", done ? "ACTION" : "IT WOULD"),
            rows: value.vms.map((vm) => [
              vm.vmId,
              vm.hostname,
              vm.refused === null
                ? (vm.action?.id ?? vm.effects.join("; "))
                : { text: `${vm.refused.code}: ${vm.refused.detail}`, tone: "bad" as const },
            ]),
          },
        ],
      };
    },
  }),

  command("finding list", "What is amiss, and what was", {
    staff: true,
    options: {
      ...RANGE,
      state: oneOf("only what is so still, or what has ended", ["open", "ended"]),
      host: optional("of which host", { names: "host", value: "host" }),
      vm: optional("of which VM", { names: "vm", value: "vm" }),
      kind: optional("only these, such as vm_lost", { value: "kind" }),
    },
    run: async (session, _, { limit, all, cursor, state, host, vm, kind }) => {
      const query = {
        state,
        kind,
        hostId: await maybe(host, (name) => hostId(session, name)),
        vmId: await maybe(vm, (name) => vmId(session, name)),
      };
      const range = { limit, all, cursor };
      const { items, json, next } = await listed(session, "listFindings", { query }, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [{ kind: "table", columns: FINDING_COLUMNS, rows: items.map(findingRow) }],
      };
    },
  }),

  command("why", "Why a VM or a host is as it is: what it waits for, what is amiss", {
    staff: true,
    args: {
      what: required("a VM's id, host name or address, or a host's name or id", {
        names: "vm",
        value: "what",
      }),
    },
    run: async (session, { what }) => {
      const id = isId("host", what) ? what : await vmId(session, what).catch(orHost(session, what));
      if (!isId("host", id)) return whyVm(session, id);
      const client = await session.client();
      const { value, raw } = await client.call("showHost", { path: { id } });
      return { json: raw, ids: [id], blocks: whyHost(value) };
    },
  }),
];

/** What no VM is called may be a host. */
const orHost = (session: Session, name: string) => (error: unknown) => {
  if (error instanceof Failure && error.code === "vm_not_found") return hostId(session, name);
  throw error;
};
