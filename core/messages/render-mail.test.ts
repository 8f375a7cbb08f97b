import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TRIAL_ENDS } from "#core/catalogue/trial-policy.ts";
import { TRIAL_REFUSALS } from "#core/orders/trial.ts";
import { LOCALES } from "./locale.ts";
import { MAIL_KINDS } from "./mail.ts";
import { parseLetter, type FilledLetter } from "./mail-values.ts";
import { renderMail } from "./render-mail.ts";

/* Issue 15 item 9: every kind of mail, in both languages. The golden files hold every word that a customer reads. */

const AT = "2026-12-03T22:00:00.000Z";
const LATER = "2026-12-04T01:30:00.000Z";
const usd = (minor: string) => ({ minor, currency: "usd" });
const size = (vcpus: number, memoryMib: number, diskGib: number) => ({ vcpus, memoryMib, diskGib });
const VM = { vmId: "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e5f6", hostname: "web-1.example.com" };
const moved = (method: string, downSeconds: number, difference: object | null) => ({
  ...VM,
  from: size(1, 1024, 20),
  to: size(2, 2048, 40),
  method,
  downSeconds,
  difference,
});
const notice = (window: string, kind: string, more = 0) => ({
  window,
  notice: kind,
  startsAt: AT,
  endsAt: LATER,
  hostnames: ["web-1.example.com", "web-2.example.com"],
  more,
});
const ready = (by: string, user: string) => ({
  hostname: VM.hostname,
  addresses: ["192.0.2.7"],
  user,
  by,
  vm: "vm_0199f0a2b3c47d5e8f90a1b2c3d4e5f6",
});
const order = { hostname: VM.hostname, plan: "Small", total: usd("123450") };
const PAGE = "https://pay.example.com/i/1";

/** Of each kind, what fills it, in all the ways that read differently. */
const SAMPLES: Readonly<Record<FilledLetter["kind"], readonly unknown[]>> = {
  prove_email: [{}],
  reset_password: [{}],
  change_email: [{}],
  email_change_asked: [{ at: AT, to: "ada@example.com", newAddress: "ada@example.net" }],
  email_changed: [{ at: AT, to: "ada@example.com", newAddress: "ada@example.net" }],
  new_log_in: [
    { at: AT, address: "198.51.100.7", agent: "Mozilla/5.0" },
    { at: AT, address: "2001:db8::7", agent: null },
  ],
  order_received: [
    { ...order, payable: { url: PAGE, until: LATER } },
    { ...order, payable: null },
    { ...order, trialDays: 7, payable: { url: PAGE, until: LATER } },
    { ...order, trialDays: 1, payable: null },
  ],
  vm_ready: [
    ready("ssh_key", "root"),
    ready("ssh_password", "root"),
    ready("remote_desktop", "Administrator"),
  ],
  invoice_paid: [
    { number: "B-0001", amount: usd("1500"), hostname: VM.hostname, url: PAGE },
    { number: null, amount: { minor: "5", currency: "eur" }, hostname: null, url: null },
  ],
  payment_failed: [
    { number: "B-0002", due: usd("1500"), hostname: VM.hostname, url: PAGE, stopsAt: AT },
    { number: null, due: usd("1500"), hostname: VM.hostname, url: null, stopsAt: AT },
  ],
  payment_needs_confirmation: [
    { due: usd("1500"), hostname: VM.hostname, url: PAGE },
    { due: usd("1500"), hostname: VM.hostname, url: null },
  ],
  trial_refused: TRIAL_REFUSALS.map((why) => ({
    hostname: VM.hostname,
    plan: "small",
    price: usd("1500"),
    interval: "month",
    why,
  })),
  trial_ends: TRIAL_ENDS.map((endsIn) => ({
    hostname: VM.hostname,
    endsAt: LATER,
    price: usd("1500"),
    interval: "month",
    endsIn,
  })),
  payment_overdue: [
    { due: usd("1500"), hostname: VM.hostname, url: PAGE, stopsAt: LATER },
    { due: usd("1500"), hostname: VM.hostname, url: null, stopsAt: LATER },
  ],
  vm_stopped_for_debt: [
    { due: usd("1500"), hostname: VM.hostname, url: PAGE, endsAt: LATER },
    { due: null, hostname: VM.hostname, url: null, endsAt: LATER },
  ],
  vm_kept_after_end: [
    { hostname: VM.hostname, keptUntil: LATER, vm: "vm_0199f0a2b3c47d5e8f90a1b2c3d4e5f6" },
  ],
  vm_suspended: [
    {
      hostname: VM.hostname,
      reasons: ["overdue", "abuse", "bandwidth", "dispute", "staff"],
    },
  ],
  vm_terminated: [{ hostname: VM.hostname, deletedAt: AT }],
  plan_migration: [
    {
      plan: "Small 2",
      notBefore: AT,
      atRenewal: true,
      vms: [moved("live", 0, null), moved("restart", 40, usd("250")), moved("move", 90, usd("-5"))],
    },
    { plan: "Small 2", notBefore: AT, atRenewal: false, vms: [moved("move", 60, usd("0"))] },
  ],
  maintenance: [
    notice("maintenance", "announced"),
    notice("maintenance", "moved", 3),
    notice("maintenance", "cancelled"),
    notice("drain", "announced"),
    notice("drain", "moved"),
    notice("drain", "cancelled"),
  ],
};
const LINK = "https://api.example.com/account/page#a-Secret_1";
const letters = MAIL_KINDS.flatMap((kind) =>
  SAMPLES[kind].map((values) => parseLetter(kind, values)),
);

test.each([
  ["en", "letters/english.golden.txt"],
  ["ru", "letters/russian.golden.txt"],
] as const)("every mail in %s reads as it was read through", async (locale, file) => {
  const read = letters.map((letter) => {
    const { subject, text } = renderMail(letter, locale, LINK);
    return `=== ${letter.kind}\nSubject: ${subject}\n\n${text}`;
  });
  await expect(read.join("\n")).toMatchFileSnapshot(file);
});

describe.each(LOCALES)("a mail in %s", (locale) => {
  test.each(letters.map((letter) => [letter.kind, letter] as const))(
    "of %s says in HTML what it says in plain text, word by word",
    (_, letter) => {
      const { text, html } = renderMail(letter, locale, LINK);
      const words = (said: string) => said.split(/[\s:]+/).filter((word) => word !== "");
      const body = html.slice(html.indexOf("<body"));
      const shown = body
        .replaceAll(/<[^>]+>/g, " ")
        .replaceAll("&#39;", "'")
        .replaceAll("&quot;", '"')
        .replaceAll("&lt;", "<")
        .replaceAll("&gt;", ">")
        .replaceAll("&amp;", "&");
      expect(words(shown)).toEqual(words(text));
    },
  );

  test("that is only shown has no link in the place of its secret", () => {
    const { text, html } = renderMail(parseLetter("reset_password", {}), locale);
    expect(text + html).not.toMatch(/https?:/);
    expect(text).toContain("••••");
  });
});

const TAGS = "!doctype html head meta title body p ul li table tr td pre a".split(" ");
/** What somebody might call a server, or a browser itself. */
const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.constantFrom(
    "<script>alert(1)</script>",
    `"><img src=x onerror=alert(1)>`,
    "a\r\nBcc: eve@example.com",
    "a\n\nBcc: eve@example.com",
    "a\u2028Bcc: eve@example.com",
    "javascript:alert(1)",
    "\u202Egro.elpmaxe",
    "&lt;b&gt;",
  ),
);

describe("whatever a value is", () => {
  const pages = fc.record({ hostname: hostile, plan: hostile, url: hostile });
  const rendered = fc
    .tuple(pages, fc.constantFrom(...LOCALES))
    .map(([{ hostname, plan, url }, locale]) =>
      [
        parseLetter("order_received", { ...order, hostname, plan, payable: { url, until: AT } }),
        parseLetter("new_log_in", { at: AT, address: hostname, agent: plan }),
        parseLetter("vm_ready", { ...ready("ssh_key", plan), hostname, addresses: [url] }),
        parseLetter("maintenance", { ...notice("drain", "moved"), hostnames: [hostname, plan] }),
        parseLetter("invoice_paid", { number: plan, amount: usd("1"), hostname, url }),
      ].map((letter) => renderMail(letter, locale)),
    );

  test("a subject is one line, and short", () => {
    fc.assert(
      fc.property(rendered, (mails) => {
        for (const { subject } of mails) {
          expect(subject).not.toMatch(/[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/u);
          expect(Array.from(subject).length).toBeLessThanOrEqual(150);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("HTML holds the tags of its letter and no others, and opens nothing but web pages", () => {
    fc.assert(
      fc.property(rendered, (mails) => {
        for (const { html } of mails) {
          for (const [, name] of html.matchAll(/<\/?([^\s>]*)/g)) expect(TAGS).toContain(name);
          for (const [, href] of html.matchAll(/href="([^"]*)"/g)) expect(href).toMatch(/^https?:/);
          expect(html).not.toMatch(/<[^>]*\son\w+=/);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("plain text has no line that a value has made", () => {
    fc.assert(
      fc.property(rendered, (mails) => {
        for (const { text } of mails) expect(text).not.toMatch(/^Bcc:/m);
      }),
      { numRuns: 40 },
    );
  });
});
