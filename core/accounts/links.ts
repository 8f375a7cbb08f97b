/** What is mailed to prove that an address is one's own. */
export const LINK_KINDS = ["prove_email", "reset_password", "change_email"] as const;
export type LinkKind = (typeof LINK_KINDS)[number];

/** How long a mailed link may be used. */
export const LINK_LIVES_MS: Record<LinkKind, number> = {
  prove_email: 24 * 60 * 60_000,
  reset_password: 60 * 60_000,
  change_email: 60 * 60_000,
};
export const LINK_BYTES = 32;

/** The page that a link opens. */
const PAGES: Record<LinkKind, string> = {
  prove_email: "/account/verify-email",
  reset_password: "/account/reset-password",
  change_email: "/account/change-email",
};

/** The secret stands behind `#`, so that no server on the way has it in its log. */
export const linkOf = (kind: LinkKind, of: { publicUrl: string; secret: string }): string =>
  `${of.publicUrl}${PAGES[kind]}#${of.secret}`;
