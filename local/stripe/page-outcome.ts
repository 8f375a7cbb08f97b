/** What a person sees after sending a page's form. */
export type PageOutcome =
  | { step: "done"; redirectTo: string }
  | { step: "authenticate" }
  /** 400: no such card; 402: the bank said no. What the page is for stays open. */
  | { step: "refused"; status: 400 | 402; code: string; message: string };

export const NO_SUCH_CARD = {
  step: "refused",
  status: 400,
  code: "incorrect_number",
  message: "Your card number is incorrect. Use one of Stripe's test numbers.",
} as const satisfies PageOutcome;
