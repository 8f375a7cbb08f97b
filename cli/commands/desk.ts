import type { Answered } from "../api/client.ts";
import { byHash, FORCED } from "../forced.ts";
import { accountId, vmId } from "../names.ts";
import { when } from "../output/format.ts";
import { columnsOf, type Shown } from "../output/shown.ts";
import { Failure } from "../failure.ts";
import { listed, RANGE } from "../pages.ts";
import type { Session } from "../session.ts";
import { WATCH } from "../watch.ts";
import { ACCOUNT } from "./accounts.ts";
import { showAction } from "./actions.ts";
import { command, count, flag, mustBeOneOf, optional, required } from "./command.ts";
import { VM, vmBlock } from "./vms.ts";

/* What staff do about what a customer bought, each by a dry run and its hash (ADR 0048). */

export const REASON = required("why, for the audit", { value: "text" });
const REQUEST = required("the request's id", { value: "request" });

type Force = Answered<"suspendVm">;

/** A force operation, looked at or done. */
export async function forced(
  session: Session,
  options: Parameters<typeof byHash>[1],
  question: string,
  call: (more: { dryRun: true } | { hash: string }) => Promise<Force>,
): Promise<Shown> {
  const { answer, done } = await byHash(session, options, question, call, ({ value }) => value);
  const { effects, hash } = answer.value;
  return {
    json: answer.raw,
    ids: [hash],
    blocks: [{ kind: "lines", title: done ? "Done:" : "It would:", lines: effects }],
    next: done ? undefined : `the same with --hash ${hash} does it`,
  };
}

const SUSPENSIONS = ["abuse", "bandwidth", "dispute", "staff"] as const;
const WHY = mustBeOneOf("as its customer reads it", SUSPENSIONS, "why");

/** A change of a VM, or back, that needs no more than its reason. */
const byReason = (
  words: string,
  summary: string,
  question: string,
  name: "cancelVmForCustomer" | "uncancelVmForCustomer",
) =>
  command(words, summary, {
    staff: true,
    args: { vm: VM },
    options: { reason: REASON, ...FORCED },
    run: async (session, { vm }, { reason, ...options }) => {
      const id = await vmId(session, vm);
      const client = await session.client();
      return forced(session, options, `${question} ${vm}?`, (more) =>
        client.call(name, { path: { id }, body: { reason, ...more } }),
      );
    },
  });

const ofAccount = (
  words: string,
  summary: string,
  question: string,
  name: "closeAccount" | "reopenAccount",
) =>
  command(words, summary, {
    staff: true,
    args: { account: ACCOUNT },
    options: { reason: REASON, ...FORCED },
    run: async (session, { account }, { reason, ...options }) => {
      const id = await accountId(session, account);
      const client = await session.client();
      return forced(session, options, `${question} ${account}?`, (more) =>
        client.call(name, { path: { id }, body: { reason, ...more } }),
      );
    },
  });

const suspension = (
  words: string,
  summary: string,
  question: string,
  name: "suspendVm" | "unsuspendVm",
) =>
  command(words, summary, {
    staff: true,
    args: { vm: VM, why: WHY },
    options: { reason: REASON, ...FORCED },
    run: async (session, { vm, why }, { reason, ...options }) => {
      const id = await vmId(session, vm);
      const client = await session.client();
      return forced(session, options, `${question} ${vm}?`, (more) =>
        client.call(name, { path: { id }, body: { reason: why, note: reason, ...more } }),
      );
    },
  });

const ownEnd = (words: string, summary: string, name: "cancelVm" | "uncancelVm") =>
  command(words, summary, {
    args: { vm: VM },
    options: { yes: flag("do not ask") },
    run: async (session, { vm }, { yes }) => {
      const id = await vmId(session, vm);
      if (name === "cancelVm")
        await session.confirm(`End ${vm} with the period that is paid?`, yes);
      const { value, raw } = await (await session.client()).call(name, { path: { id } });
      return { json: raw, ids: [id], blocks: [vmBlock(value)] };
    },
  });

const protection = (words: string, summary: string, deleteProtected: boolean) =>
  command(words, summary, {
    args: { vm: VM },
    run: async (session, { vm }) => {
      const id = await vmId(session, vm);
      const client = await session.client();
      const { value, raw } = await client.call("changeVm", {
        path: { id },
        body: { deleteProtected },
      });
      return { json: raw, ids: [id], blocks: [vmBlock(value)] };
    },
  });

export const deskCommands = [
  ownEnd("vm cancel", "End a VM with the period that is paid", "cancelVm"),
  ownEnd("vm uncancel", "Have a VM go on that was to end with its period", "uncancelVm"),
  command("vm revive", "Buy a VM anew whose subscription has ended", {
    args: { vm: VM },
    run: async (session, { vm }) => {
      const id = await vmId(session, vm);
      const { value, raw } = await (await session.client()).call("reviveVm", { path: { id } });
      return {
        json: raw,
        ids: [value.checkoutUrl],
        blocks: [
          {
            kind: "fields",
            fields: [
              ["pay at", value.checkoutUrl],
              ["until", when(value.expiresAt)],
            ],
          },
        ],
      };
    },
  }),
  protection("vm protect", "Refuse every delete of a VM until it is unprotected", true),
  protection("vm unprotect", "Let a VM be deleted again", false),

  suspension("vm suspend", "Stop a VM, whatever is paid", "Suspend", "suspendVm"),
  suspension("vm unsuspend", "Lift a suspension by staff", "Lift the suspension of", "unsuspendVm"),

  command("vm extend", "Let a VM run longer without being paid, as goodwill", {
    staff: true,
    args: { vm: VM },
    options: { days: count("for so many days", 366), reason: REASON, ...FORCED },
    run: async (session, { vm }, { days = 1, reason, ...options }) => {
      const id = await vmId(session, vm);
      const client = await session.client();
      return forced(session, options, `Give ${vm} ${days} days?`, (more) =>
        client.call("extendEntitlement", { path: { id }, body: { days, reason, ...more } }),
      );
    },
  }),

  command("vm never-suspend", "Never suspend a VM until then; without an end, the mark goes", {
    staff: true,
    args: { vm: VM },
    options: {
      until: optional("such as 2026-03-01T00:00:00.000Z", { value: "instant" }),
      reason: REASON,
      ...FORCED,
    },
    run: async (session, { vm }, { until, reason, ...options }) => {
      const id = await vmId(session, vm);
      const client = await session.client();
      return forced(session, options, `Mark ${vm}?`, (more) =>
        client.call("keepFromSuspension", {
          path: { id },
          body: { until: until ?? null, reason, ...more },
        }),
      );
    },
  }),

  byReason(
    "vm cancel-for",
    "End a customer's VM with the period that is paid",
    "End with its period",
    "cancelVmForCustomer",
  ),
  byReason(
    "vm uncancel-for",
    "Have a customer's VM go on that was to end",
    "Let go on",
    "uncancelVmForCustomer",
  ),

  ofAccount(
    "account close",
    "Close an account: its log-ins end, its VMs run on",
    "Close",
    "closeAccount",
  ),
  ofAccount("account reopen", "Open an account again", "Open", "reopenAccount"),

  command("account dunning", "Agree with a customer on how long we wait for payment", {
    staff: true,
    args: { account: ACCOUNT },
    options: {
      suspend: count("days from the reminder until a VM stops", 90, 0),
      end: count("days from that until its subscription ends", 365, 0),
      delete: count("days from that until what is on it is deleted", 365, 0),
      reason: REASON,
      ...FORCED,
    },
    run: async (session, { account }, { suspend, end, delete: kept, reason, ...options }) => {
      const given = [suspend, end, kept].filter((days) => days !== undefined).length;
      if (given !== 0 && given !== 3)
        throw new Failure("usage", "days_incomplete", "all three, or none: as everybody's again");
      const days =
        suspend === undefined || end === undefined || kept === undefined
          ? null
          : { suspendDays: suspend, terminateDays: end, deleteDays: kept };
      const id = await accountId(session, account);
      const client = await session.client();
      return forced(session, options, `Agree on that with ${account}?`, (more) =>
        client.call("agreeOnDunning", { path: { id }, body: { days, reason, ...more } }),
      );
    },
  }),

  command("account impersonate", "Act as a customer, who sees it, for an hour at most", {
    staff: true,
    args: { account: ACCOUNT },
    options: { reason: REASON, minutes: count("for so long (60)", 60), yes: flag("do not ask") },
    run: async (session, { account }, { reason, minutes, yes }) => {
      const id = await accountId(session, account);
      await session.confirm(`Act as ${account}, who sees it?`, yes);
      const client = await session.client();
      const { value, raw } = await client.call("impersonate", {
        path: { id },
        body: { reason, ...(minutes === undefined ? {} : { minutes }) },
      });
      return {
        json: raw,
        ids: [value.cookie],
        blocks: [
          {
            kind: "fields",
            fields: [
              ["cookie", value.cookie],
              ["ends", when(value.expiresAt)],
            ],
          },
        ],
        next: `berth account leave ${account} ends it`,
      };
    },
  }),

  command("account leave", "Act as a customer no more", {
    staff: true,
    args: { account: ACCOUNT },
    run: async (session, { account }) => {
      const id = await accountId(session, account);
      await (await session.client()).call("endImpersonation", { path: { id } });
      return { json: { id }, ids: [id], blocks: [{ kind: "lines", lines: ["it has ended"] }] };
    },
  }),

  command("vm ask-destroy", "Ask for another's VM to be destroyed: somebody else confirms", {
    staff: true,
    args: {
      vm: VM,
      how: mustBeOneOf(
        "deleted, or of a lost one, given up or made anew",
        ["delete", "give_up", "recreate"],
        "how",
      ),
    },
    options: { reason: REASON, ...FORCED },
    run: async (session, { vm, how }, { reason, ...options }) => {
      const id = await vmId(session, vm);
      const client = await session.client();
      const { answer, done } = await byHash(
        session,
        options,
        `Ask for ${vm} to be destroyed?`,
        (more) => client.call("askToDestroyVm", { path: { id }, body: { how, reason, ...more } }),
        ({ value }) => ("effects" in value ? value : { effects: [], hash: "" }),
      );
      const { value, raw } = answer;
      if (!("effects" in value))
        return {
          json: raw,
          ids: [value.id],
          blocks: [{ kind: "lines", lines: [`asked for; good until ${when(value.expiresAt)}`] }],
          next: `somebody else: berth destroy-request confirm ${value.id}`,
        };
      return {
        json: raw,
        ids: [value.hash],
        blocks: [{ kind: "lines", title: "It would:", lines: value.effects }],
        next: done ? undefined : `the same with --hash ${value.hash} does it`,
      };
    },
  }),

  command("destroy-request list", "What somebody asked to be destroyed, and nobody has confirmed", {
    staff: true,
    options: { ...RANGE },
    run: async (session, _, range) => {
      const { items, json, next } = await listed(session, "listDestroyRequests", {}, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf("ID!", "VM!", "HOW", "WHY", "UNTIL?", "ASKED BY?"),
            rows: items.map((r) => [r.id, r.vmId, r.how, r.reason, when(r.expiresAt), r.askedBy]),
          },
        ],
      };
    },
  }),

  command("destroy-request confirm", "Destroy what another member of staff asked for", {
    staff: true,
    args: { request: REQUEST },
    options: { ...FORCED, ...WATCH },
    run: async (session, { request: id }, { dryRun, hash, yes, ...watch }) => {
      const client = await session.client();
      const { answer, done } = await byHash(
        session,
        { dryRun, hash, yes },
        "Destroy it?",
        (more) => client.call("confirmDestroyRequest", { path: { id }, body: more }),
        ({ value }) => ("effects" in value ? value : { effects: [], hash: "" }),
      );
      const { value, raw } = answer;
      if ("action" in value)
        return showAction(
          session,
          { value: value.action, raw: Object(raw).action },
          watch,
          value.action.vmId,
        );
      return {
        json: raw,
        ids: [value.hash],
        blocks: [{ kind: "lines", title: "It would:", lines: value.effects }],
        next: done ? undefined : `berth destroy-request confirm ${id} --hash ${value.hash}`,
      };
    },
  }),

  command("destroy-request withdraw", "Take back what was asked to be destroyed", {
    staff: true,
    args: { request: REQUEST },
    run: async (session, { request: id }) => {
      await (await session.client()).call("withdrawDestroyRequest", { path: { id } });
      return { json: { id }, ids: [id], blocks: [{ kind: "lines", lines: ["it is taken back"] }] };
    },
  }),
];
