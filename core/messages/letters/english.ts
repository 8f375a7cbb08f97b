import { SUSPENSION_WORDS } from "#core/billing/suspension.ts";
import {
  code,
  fields,
  link,
  list,
  text,
  type Formats,
  type Letter,
} from "#core/messages/letter.ts";
import type { Letters, MailValues } from "#core/messages/mail-values.ts";

const RUNS_AGAIN = "There is nothing that you have to do: a server that ran runs again.";

type Told = MailValues["maintenance"];
const NOTICES: Record<
  Told["window"],
  Record<Told["notice"], Readonly<{ subject: string; says: (when: string) => string }>>
> = {
  maintenance: {
    announced: {
      subject: "Maintenance of your servers",
      says: (when) =>
        `We maintain a machine that your servers run on, ${when}. In that time they may be restarted, and be away for a while.`,
    },
    moved: {
      subject: "Maintenance of your servers: at another time",
      says: (when) =>
        `The maintenance that we told you of is at another time now: ${when}. In that time your servers may be restarted, and be away for a while.`,
    },
    cancelled: {
      subject: "Maintenance of your servers: cancelled",
      says: (when) =>
        `The maintenance that we told you of, ${when}, is cancelled. Your servers stay as they are.`,
    },
  },
  drain: {
    announced: {
      subject: "A move of your servers",
      says: (when) =>
        `We move your servers to another machine, ${when}. In that time each may be shut down once, and is away while its disk is copied. Its addresses and all that is on it stay the same.`,
    },
    moved: {
      subject: "A move of your servers: at another time",
      says: (when) =>
        `The move to another machine that we told you of is at another time now: ${when}. In that time each server may be shut down once, and is away while its disk is copied.`,
    },
    cancelled: {
      subject: "A move of your servers: cancelled",
      says: (when) =>
        `The move to another machine that we told you of, ${when}, is cancelled. These servers stay where they are.`,
    },
  },
};

const TRIAL_REFUSED: Readonly<Record<MailValues["trial_refused"]["why"], string>> = {
  trial_used: "You have had a trial before, and there is one for each customer.",
  trial_card_known: "There was a trial with this card before, and there is one for each card.",
  trial_card_unrecognised:
    "A trial needs a card whose number is typed in: by a wallet, Link or a bank account we cannot tell whether there was one before.",
  trial_card_missing: "A trial needs a card, and none was given.",
};

type Migrated = MailValues["plan_migration"]["vms"][number];
const sizeOf = ({ vcpus, memoryMib, diskGib }: Migrated["from"], { count }: Formats): string =>
  `${count(vcpus, { one: "vCPU", other: "vCPUs" })}, ${memoryMib} MiB of memory and ${diskGib} GiB of disk`;

/** Where a VM is, is nothing that customers are told of: that it may be down for longer is. */
function downOf({ method, downSeconds }: Migrated, { count }: Formats): string {
  if (downSeconds === 0) return "it runs on";
  return method === "move"
    ? `it restarts, and is down for up to ${count(Math.ceil(downSeconds / 60), { one: "minute", other: "minutes" })}`
    : `it restarts once, and is down for up to ${downSeconds} s`;
}

function migrated(vm: Migrated, formats: Formats): string {
  const parts = [
    `${sizeOf(vm.from, formats)} become ${sizeOf(vm.to, formats)}`,
    downOf(vm, formats),
  ];
  if (vm.difference !== null && vm.difference.minor !== "0") {
    const falls = vm.difference.minor.startsWith("-");
    const sum = formats.money({ ...vm.difference, minor: vm.difference.minor.replace("-", "") });
    parts.push(`its price ${falls ? "falls" : "rises"} by ${sum} for each period, before tax`);
  }
  return `${vm.hostname}: ${parts.join("; ")}`;
}

const waysIn = ({ user, by, addresses, vm }: MailValues["vm_ready"]): Letter["blocks"] => {
  const host = addresses[0] ?? "";
  if (by === "remote_desktop")
    return [
      text("Take its password once, and connect by Remote Desktop with that:"),
      code(`berth vm password ${vm}`, `mstsc /v:${host}`),
    ];
  return by === "ssh_password"
    ? [
        text("Take its password once, and log in with that:"),
        code(`berth vm password ${vm}`, `ssh ${user}@${host}`),
      ]
    : [text("Log in with the key of your order:"), code(`ssh ${user}@${host}`)];
};

/** All letters in English. */
export const ENGLISH: Letters = {
  prove_email: (_, { link: href }) => ({
    subject: "Is this your address?",
    blocks: [
      text("An account was made with this address. If that was you, open this page within a day:"),
      link(href),
      text("If it was not you, there is nothing to do."),
    ],
  }),
  reset_password: (_, { link: href }) => ({
    subject: "A new password",
    blocks: [
      text(
        "Somebody, most likely you, has forgotten the password of the account with this address. Choose a new one here within an hour:",
      ),
      link(href),
      text("If it was not you, there is nothing to do: your password is as it was."),
    ],
  }),
  change_email: (_, { link: href }) => ({
    subject: "Is this your new address?",
    blocks: [
      text(
        "The owner of an account with us wants it to have this address from now on. If that is you, open this page within an hour:",
      ),
      link(href),
      text("If it was not you, there is nothing to do: nothing changes."),
    ],
  }),
  email_change_asked: ({ at, newAddress }, { formats }) => ({
    subject: "Your account is to have another address",
    blocks: [
      text(
        "Somebody who knows your password has asked that your account have another e-mail address. It changes when the link that was mailed there is opened:",
      ),
      fields([
        ["when", formats.instant(at)],
        ["new address", newAddress],
      ]),
      text(
        "If that was you, there is nothing to do here. If not, change your password now: that ends all other sessions, and the link.",
      ),
    ],
  }),
  email_changed: ({ at, newAddress }, { formats }) => ({
    subject: "Your account has another address",
    blocks: [
      text(
        "Your account has another e-mail address now. You log in with that one, and it is where we write to:",
      ),
      fields([
        ["when", formats.instant(at)],
        ["new address", newAddress],
      ]),
      text("If that was not your wish, write to our support at once."),
    ],
  }),
  new_log_in: ({ at, address, agent }, { formats }) => ({
    subject: "A log-in from somewhere new",
    blocks: [
      text("Your password was used from where it was not used before:"),
      fields([
        ["when", formats.instant(at)],
        ["address", address],
        ["with", agent ?? "an unknown program"],
      ]),
      text(
        "If that was you, there is nothing to do. If not, change your password now, which ends all other sessions, and set up a second factor.",
      ),
    ],
  }),
  order_received: ({ hostname, plan, total, trialDays, payable }, { formats }) => ({
    subject: `Your order of ${hostname}`,
    blocks: [
      text("Thank you, we have your order:"),
      fields([
        ["server", hostname],
        ["plan", plan],
        ["price", formats.money(total)],
        ...(trialDays === null
          ? []
          : ([
              ["trial", `${formats.count(trialDays, { one: "day", other: "days" })} for nothing`],
            ] as const)),
      ]),
      ...(payable === null
        ? [
            text(
              `${trialDays === null ? "It is paid. " : ""}Your server is being made: we write again when it is ready.`,
            ),
          ]
        : [
            text(
              trialDays === null
                ? `It is not paid yet, and waits for that until ${formats.instant(payable.until)}. Nothing is made, and nothing is owed, before.`
                : `It waits for you on this page until ${formats.instant(payable.until)}. Nothing is made before.`,
            ),
            ...(payable.url === null ? [] : [link(payable.url)]),
          ]),
    ],
  }),
  trial_refused: ({ hostname, plan, price, interval, why }, { formats }) => ({
    subject: `Your trial of ${hostname} was not begun`,
    blocks: [
      text(`${TRIAL_REFUSED[why]} Nothing was made, and nothing is charged.`),
      text(
        `You can have it all the same, without a trial: ${plan} costs ${formats.money(price)} a ${interval}. Order it again, and pay on the page that you get.`,
      ),
    ],
  }),
  trial_ends: ({ hostname, endsAt, price, interval, endsIn }, { formats }) => {
    const end = formats.instant(endsAt);
    const cost = `${formats.money(price)} a ${interval}`;
    return {
      subject: `The trial of ${hostname} ends on ${formats.day(endsAt)}`,
      blocks: [
        text(
          endsIn === "payment"
            ? `The trial of your server ${hostname} ends on ${end}. It goes on from then on for ${cost}, which your card is charged.`
            : `The trial of your server ${hostname} ends on ${end}. With a card on file it goes on from then on for ${cost}. Without one it stops then, and nothing is charged.`,
        ),
        endsIn === "payment"
          ? text("If you do not want that, have it end before:")
          : text("Save a card here:"),
        code(endsIn === "payment" ? `berth vm cancel ${hostname}` : "berth billing card"),
      ],
    };
  },
  vm_ready: (vm) => ({
    subject: `${vm.hostname} is ready`,
    blocks: [
      text("Your server runs:"),
      fields([
        ["server", vm.hostname],
        ["address", vm.addresses.join(", ")],
        ["user", vm.user],
      ]),
      ...waysIn(vm),
    ],
  }),
  invoice_paid: ({ number, amount, hostname, url }, { formats }) => ({
    subject: number === null ? "Your payment" : `Invoice ${number} is paid`,
    blocks: [
      text(
        `We have received ${formats.money(amount)}${hostname === null ? "" : ` for ${hostname}`}. Thank you.`,
      ),
      ...(url === null ? [] : [text("The invoice:"), link(url)]),
    ],
  }),
  payment_failed: ({ number, due, hostname, url, stopsAt }, { formats }) => ({
    subject: `A payment for ${hostname} failed`,
    blocks: [
      text(
        `We could not collect ${formats.money(due)} for ${hostname}${number === null ? "" : ` (invoice ${number})`}. If it is not paid by ${formats.instant(stopsAt)}, your server is stopped then, until it is; what is on it is kept.`,
      ),
      ...(url === null
        ? [text("We try again by ourselves. Please see that your card is good.")]
        : [
            text("We try again by ourselves. You can pay it at once, with another card too:"),
            link(url),
          ]),
    ],
  }),
  payment_needs_confirmation: ({ due, hostname, url }, { formats }) => ({
    subject: `Please confirm a payment for ${hostname}`,
    blocks: [
      text(
        `Your bank wants you to confirm the payment of ${formats.money(due)} for ${hostname}. Until you do, it is not paid.`,
      ),
      ...(url === null
        ? [text("Please ask our support for the page where you confirm it.")]
        : [text("Confirm it here:"), link(url)]),
    ],
  }),
  payment_overdue: ({ due, hostname, url, stopsAt }, { formats }) => ({
    subject: `${hostname} is not paid for`,
    blocks: [
      text(
        `${formats.money(due)} for your server ${hostname} is still to be paid. If it is not paid by ${formats.instant(stopsAt)}, the server is stopped then; what is on it is kept.`,
      ),
      ...(url === null ? [] : [text("Pay it here, with another card too:"), link(url)]),
    ],
  }),
  vm_suspended: ({ hostname, reasons }) => ({
    subject: `${hostname} is suspended`,
    blocks: [
      text(`Your server ${hostname} was stopped. What is on it is kept.`),
      list(reasons.map((reason) => SUSPENSION_WORDS[reason])),
    ],
  }),
  vm_stopped_for_debt: ({ hostname, due, url, endsAt }, { formats }) => ({
    subject: `${hostname} is stopped: it is not paid for`,
    blocks: [
      text(
        `Your server ${hostname} was stopped, as ${due === null ? "it" : formats.money(due)} is not paid. What is on it is kept. Once it is paid, it starts again by itself.`,
      ),
      ...(url === null ? [] : [text("Pay it here:"), link(url)]),
      text(`If it is not paid by ${formats.instant(endsAt)}, its subscription ends.`),
    ],
  }),
  vm_kept_after_end: ({ hostname, keptUntil, vm }, { formats }) => ({
    subject: `The subscription of ${hostname} has ended`,
    blocks: [
      text(
        `The subscription of your server ${hostname} has ended, and nothing more is charged for it. The server is off. What is on it, and its address, are kept until ${formats.instant(keptUntil)}; then it is deleted.`,
      ),
      text("Until then you can have it back, as it was, by paying for a new period:"),
      code(`berth vm revive ${vm}`),
    ],
  }),
  vm_terminated: ({ hostname, deletedAt }, { formats }) => ({
    subject: `${hostname} is gone`,
    blocks: [
      text(
        `Your server ${hostname} was deleted on ${formats.instant(deletedAt)}, with all that was on it. Nothing more is charged for it.`,
      ),
      text("If that was not your wish, write to our support at once."),
    ],
  }),
  plan_migration: ({ plan, notBefore, atRenewal, vms }, { formats }) => {
    const day = formats.day(notBefore);
    return {
      subject: `Your servers change from ${day} on`,
      blocks: [
        text(
          `These servers of yours come to the plan ${plan}, ${
            atRenewal
              ? `with the end of the period that is paid for each, and not before ${day}`
              : `from ${day} on (UTC)`
          }:`,
        ),
        list(vms.map((vm) => migrated(vm, formats))),
        text(
          "There is nothing that you must do. One that is restarted is shut down first, as from its own menu.",
        ),
      ],
    };
  },
  maintenance: ({ window, notice, startsAt, endsAt, hostnames, more }, { formats }) => {
    const { subject, says } = NOTICES[window][notice];
    const when = `from ${formats.instant(startsAt)} to ${formats.instant(endsAt)}`;
    return {
      subject,
      blocks: [
        text(says(when)),
        list([...hostnames, ...(more > 0 ? [`and ${more} more`] : [])]),
        ...(notice === "cancelled" ? [] : [text(RUNS_AGAIN)]),
      ],
    };
  },
};
