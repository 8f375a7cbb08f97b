/** What is mailed to prove that an address is one's own. */
export const LINK_KINDS = ["prove_email", "reset_password"] as const;
export type LinkKind = (typeof LINK_KINDS)[number];

/** How long a mailed link may be used. */
export const LINK_LIVES_MS: Record<LinkKind, number> = {
  prove_email: 24 * 60 * 60_000,
  reset_password: 60 * 60_000,
};
export const LINK_BYTES = 32;

/** What each mail says, and the page that its link opens. */
const MAILS: Record<
  LinkKind,
  Readonly<{ page: string; subject: string; about: string; otherwise: string }>
> = {
  prove_email: {
    page: "/account/verify-email",
    subject: "Is this your address?",
    about: "An account was made with this address. If that was you, open this page within a day:",
    otherwise: "If it was not you, there is nothing to do.",
  },
  reset_password: {
    page: "/account/reset-password",
    subject: "A new password",
    about:
      "Somebody, most likely you, has forgotten the password of the account with this address. Choose a new one here within an hour:",
    otherwise: "If it was not you, there is nothing to do: your password is as it was.",
  },
};

/** The secret stands behind `#`, so that no server on the way has it in its log. */
export const linkOf = (kind: LinkKind, of: { publicUrl: string; secret: string }): string =>
  `${of.publicUrl}${MAILS[kind].page}#${of.secret}`;

/** The mail with a link, in plain text. */
export function mailOf(
  kind: LinkKind,
  to: string,
  of: { publicUrl: string; secret: string },
): { to: string; subject: string; text: string } {
  const { subject, about, otherwise } = MAILS[kind];
  const link = linkOf(kind, of);
  return { to, subject: `Berth: ${subject}`, text: `${about}\n\n${link}\n\n${otherwise}\n` };
}
