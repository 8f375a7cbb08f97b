import type { AccountView } from "#core/contracts/api/accounts.ts";
import type { AccountDetailsView, NoteView } from "#core/contracts/api/account-details.ts";
import { AuditDetail, type AuditEntryView } from "#core/contracts/api/audit.ts";
import type { MailDetailsView, MailView } from "#core/contracts/api/mails.ts";
import type { FoundView } from "#core/contracts/api/search.ts";
import { isIdKind, toWireId } from "#core/ids.ts";
import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import { toMoneyView } from "#core/money.ts";
import type { ForcedPlan } from "#commands/forced.ts";
import type { Note } from "#commands/accounts/add-note.ts";
import type { AccountDetails } from "#commands/accounts/show-account.ts";
import { toInvoiceView, toOrderView, toTokenView, toVmView } from "./views.ts";
import type { AccountRow } from "#commands/accounts/list-accounts.ts";
import type { Found } from "#commands/accounts/search.ts";
import type { AuditEntry } from "#commands/accounts/show-audit.ts";
import type { MailDetails, MailRow } from "#commands/messages/show-mails.ts";

/* What staff find at their desk, on the wire. */

const ACTOR_IDS = { account: "account", staff: "account", agent: "host" } as const;

/** Ids of ours as everywhere on the wire; what has no such id, a link or a restore, by its bare one. */
export const toAuditView = (e: AuditEntry): AuditEntryView => ({
  id: e.id,
  at: e.at.toISOString(),
  actor: {
    kind: e.actorKind,
    id:
      e.actorKind === "provider" || e.actorKind === "system"
        ? e.actorId
        : toWireId(ACTOR_IDS[e.actorKind], e.actorId),
  },
  action: e.action,
  subject: {
    kind: e.subjectKind,
    id: isIdKind(e.subjectKind) ? toWireId(e.subjectKind, e.subjectId) : e.subjectId,
  },
  detail: AuditDetail.parse(e.detail),
});

export const toAccountView = (a: AccountRow): AccountView => ({
  id: toWireId("account", a.id),
  email: a.email,
  emailVerified: a.emailVerified,
  name: a.name,
  role: a.role,
  staffRole: a.staffRole,
  secondFactor: a.twoFactorEnabled,
  closedAt: a.bannedAt?.toISOString() ?? null,
  createdAt: a.createdAt.toISOString(),
});

export const toForcedView = ({ effects, hash }: ForcedPlan, { dryRun }: { dryRun: boolean }) => ({
  effects: [...effects],
  hash,
  done: !dryRun,
});

const PLACE_OF = {
  account: "/staff/v1/accounts/",
  vm: "/staff/v1/vms/",
  order: "/v1/orders/",
  invoice: "/v1/invoices/",
  host: "/staff/v1/hosts/",
} as const;

export function toFoundView(f: Found): FoundView {
  const id = toWireId(f.kind, f.id);
  const accountId = f.accountId === null ? null : toWireId("account", f.accountId);
  const { kind, title, matched, gone } = f;
  return { kind, id, title, matched, accountId, gone, link: `${PLACE_OF[kind]}${id}` };
}

export const toNoteView = (n: Note): NoteView => ({
  id: n.id,
  authorId: toWireId("account", n.authorId),
  authorEmail: n.authorEmail,
  text: n.text,
  writtenAt: n.writtenAt.toISOString(),
});

const maybe = (at: Date | null): string | null => at && at.toISOString();

export const toMailView = (m: MailRow): MailView => ({
  id: toWireId("mail", m.id),
  kind: m.kind,
  state: m.state,
  accountId: m.accountId && toWireId("account", m.accountId),
  to: m.toAddress,
  locale: m.locale,
  subject: m.subject,
  createdAt: m.createdAt.toISOString(),
  endedAt: maybe(m.endedAt),
  nextTryAt: maybe(m.nextTryAt),
  tries: m.tries,
  lastError: m.lastError,
  resentFrom: m.resentFrom && toWireId("mail", m.resentFrom),
});

export const toMailDetailsView = ({
  mail,
  text,
  resendable,
  refusal,
}: MailDetails): MailDetailsView => ({
  ...toMailView(mail),
  text,
  resendable,
  refusal: refusal && {
    kind: refusal.kind,
    reason: refusal.reason,
    notedAt: refusal.notedAt.toISOString(),
  },
});

export const toAccountDetailsView = (
  d: AccountDetails,
  now: Date,
  who: Pick<AccountPrincipal, "role">,
): AccountDetailsView => ({
  ...toAccountView(d.account),
  money: d.money && {
    sums: d.money.sums.map(({ paid, open }) => ({
      paid: toMoneyView(paid),
      open: toMoneyView(open),
    })),
    invoices: d.money.invoices.map(toInvoiceView),
  },
  orders: d.orders && d.orders.map(toOrderView),
  vms: d.vms && d.vms.map((vm) => toVmView(vm, now, who)),
  logIns: d.sessions.map((s) => ({
    createdAt: s.createdAt.toISOString(),
    expiresAt: s.expiresAt.toISOString(),
    address: s.ipAddress,
    userAgent: s.userAgent,
    secondFactor: s.secondFactor,
    impersonatedBy: s.impersonatedBy === null ? null : toWireId("account", s.impersonatedBy),
  })),
  tokens: d.tokens.map(toTokenView),
  notes: d.notes.map(toNoteView),
});
