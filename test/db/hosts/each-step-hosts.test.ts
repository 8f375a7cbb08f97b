import { v7 } from "uuid";
import { afterEach, beforeEach, expect, test } from "vitest";
import { costlyTest as it } from "#test/harness/costly-test.ts";
import { addHost, issueJoinToken } from "#commands/hosts/add-host.ts";
import { enrollHost } from "#commands/hosts/enroll-host.ts";
import { openAgentSession } from "#commands/hosts/open-agent-session.ts";
import { recordUsage } from "#commands/usage/record-usage.ts";
import { recordReport } from "#commands/moves/record-report.ts";
import { relayOutbox } from "#commands/messages/relay-outbox.ts";
import { requestAction } from "#commands/vms/request-action.ts";
import { anAgentReport, aSample, hostFacts, minutesAfter } from "#test/builders.ts";
import { startControlPlane, type ControlPlane } from "#test/harness/control-plane.ts";
import { differencesOf, runEachStep } from "#test/harness/each-step.ts";
import {
  anActiveVm,
  aProvisionedVm,
  aPublicKey,
  aWorld,
  GUEST,
  reportOf,
  SYSTEM,
  valueOf,
} from "#test/harness/world.ts";

let cp: ControlPlane;
beforeEach(async () => {
  cp = await startControlPlane();
});
afterEach(() => cp.drop());

const lines = (...patterns: readonly RegExp[]) =>
  patterns.map((line) => expect.stringMatching(line));

const anActiveWorld = async () => {
  const world = await aWorld(cp);
  return { world, vm: await anActiveVm(cp, world) };
};

test.each([
  { type: "stop", vm: /^vms .*"desired_power":"off"/ },
  { type: "reboot", vm: /^vms .*"desired_power":"running"/ },
  { type: "delete", vm: /^vms .*"presence":"absent"/ },
] as const)("asking for a $type begins one action", async ({ type, vm }) => {
  const each = await runEachStep(cp, {
    arrange: anActiveWorld,
    act: (s) => requestAction(cp.deps, { who: s.world.buyer, vmId: s.vm.vmId, type }),
    emits: [
      "vm.change_requested.v1",
      ...(type === "delete" ? (["subscription.cancellation_fell_due.v1"] as const) : []),
    ],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(vm, new RegExp(`^actions .*"type":"${type}"`), /^actions .*"running"/),
    ),
  );
});

it("the first report of a guest makes the order active once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const world = await aWorld(cp);
      const { vmId } = await aProvisionedVm(cp, world);
      const vms = [await reportOf(cp, vmId, { observed: { guest: GUEST } })];
      return { world, report: anAgentReport({ vms, facts: hostFacts({ agentVersion: "0.2.0" }) }) };
    },
    act: ({ world, report }) => recordReport(cp.deps, world.hostId, report),
    emits: ["order.activated.v1", "action.finished.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^orders .*"active"/, /^actions .*"success"/, /^hosts .*"0.2.0"/)),
  );
});

it("the report that a VM is gone frees its place and ends its order once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { world, vm } = await anActiveWorld();
      valueOf(await requestAction(cp.deps, { who: world.buyer, vmId: vm.vmId, type: "delete" }));
      const vms = [await reportOf(cp, vm.vmId, { observed: null })];
      return { world, report: anAgentReport({ vms }) };
    },
    act: ({ world, report }) => recordReport(cp.deps, world.hostId, report),
    emits: ["vm.deleted.v1", "action.finished.v1", "order.completed.v1"],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(
      lines(
        /^orders .*"completed"/,
        /^hosts .*"allocated_vcpus":0/,
        /^outbox .*"vm.deleted.v1"/,
        /^ip_addresses .*"busy_until":"\+86449s"/,
      ),
    ),
  );
});

it("a batch of samples counts once", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { world, vm } = await anActiveWorld();
      cp.clock.advanceMinutes(2);
      const now = cp.clock.now();
      const at = (n: number) => minutesAfter(n, now).toISOString();
      const samples = [
        aSample({ vmId: vm.vmId, seq: 1, from: at(-2), to: at(-1) }),
        aSample({ vmId: vm.vmId, seq: 2, from: at(-1), to: at(0) }),
      ];
      return { world, samples };
    },
    act: ({ world, samples }) => recordUsage(cp.deps, world.hostId, { samples }),
    emits: [],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^usage_samples .*"seq":1,/, /^usage_samples .*"seq":2,/)),
  );
});

it("enrolling with one token and one key gives the host one identity", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { locationId } = await aWorld(cp);
      const host = { name: v7(), locationId, testOnly: false, cpuOvercommit: 4 };
      const { joinToken } = valueOf(await addHost(cp.deps, SYSTEM, host));
      const publicKey = { kty: "OKP", crv: "Ed25519", x: aPublicKey() } as const;
      return { joinToken, publicKey, facts: hostFacts({ agentVersion: "0.3.0" }) };
    },
    act: (request) => enrollHost(cp.deps, request),
    emits: [],
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^hosts .*"0.3.0".*"identity_epoch":1/)),
  );
});

it("adding a host whose answer was lost is finished by asking for another token", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { locationId } = await aWorld(cp);
      return { name: `rack-${v7()}`, locationId, testOnly: false, cpuOvercommit: 4 };
    },
    act: (host) => addHost(cp.deps, SYSTEM, host),
    emits: [],
    again: async (host) => {
      const added = await addHost(cp.deps, SYSTEM, host);
      if (added.ok) return;
      expect(added.error.code).toBe("name_taken");
      valueOf(await issueJoinToken(cp.deps, SYSTEM, await hostIdOf(host.name)));
    },
    // Whatever became of the queue, it is there when the agent asks for it.
    settle: async (host) => openAgentSession(cp.deps, await hostIdOf(host.name)),
    ignore: /^join_tokens |"host.issue_join_token"/,
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(expect.arrayContaining(lines(/^hosts .*"name":"rack-/)));
});

async function hostIdOf(name: string): Promise<string> {
  const [row] = await cp.rows("select id from hosts where name = $1", name);
  return String(row?.["id"]);
}

it("what the relay could not send goes out when its lease has ended", async () => {
  const each = await runEachStep(cp, {
    arrange: async () => {
      const { world, vm } = await anActiveWorld();
      // One doorbell and one piece of work.
      valueOf(await requestAction(cp.deps, { who: world.buyer, vmId: vm.vmId, type: "delete" }));
    },
    act: () => relayOutbox(cp.deps),
    emits: [],
    settle: async () => {
      cp.clock.advance(31_000);
      await cp.pump();
    },
  });
  expect(differencesOf(each)).toEqual([]);
  expect(each.undisturbed).toEqual(
    expect.arrayContaining(lines(/^stripe subscription .* canceled/, /^services .*"canceled"/)),
  );
  expect(await cp.rows("select id from outbox where sent_at is null")).toEqual([]);
});
