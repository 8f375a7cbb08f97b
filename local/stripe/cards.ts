/** A refusal by the card's bank, in Stripe's words (https://docs.stripe.com/declines/codes). */
export type Decline = Readonly<{ code: string; declineCode: string; message: string }>;

export type TestCard = Readonly<{
  number: string;
  /** The name Stripe gives the ready-made payment method, for `pm_card_…`; null where there is none. */
  token: string | null;
  /** Why every payment with it fails; null: payments succeed. */
  decline: Decline | null;
  /** Why payments fail once it is saved, although attaching it succeeds. */
  declineOnceSaved: Decline | null;
  /** Asks the customer for 3D Secure while they are there. */
  authenticates: boolean;
  /** And for each payment with it once it is saved. */
  alwaysAuthenticates: boolean;
  disputed: boolean;
  refundsFail: boolean;
}>;

const declined = (declineCode: string, message: string, code = "card_declined"): Decline => ({
  code,
  declineCode,
  message,
});
export const GENERIC_DECLINE = declined("generic_decline", "Your card was declined.");
const PLAIN = {
  token: null,
  decline: null,
  declineOnceSaved: null,
  authenticates: false,
  alwaysAuthenticates: false,
  disputed: false,
  refundsFail: false,
};

/** Stripe's published test numbers (https://docs.stripe.com/testing). Every other number is refused. */
const TEST_CARDS: readonly TestCard[] = [
  { ...PLAIN, number: "4242424242424242", token: "visa" },
  { ...PLAIN, number: "4000056655665556", token: "visa_debit" },
  { ...PLAIN, number: "5555555555554444", token: "mastercard" },
  { ...PLAIN, number: "378282246310005", token: "amex" },
  {
    ...PLAIN,
    number: "4000000000000002",
    token: "visa_chargeDeclined",
    decline: GENERIC_DECLINE,
  },
  {
    ...PLAIN,
    number: "4000000000009995",
    token: "visa_chargeDeclinedInsufficientFunds",
    decline: declined("insufficient_funds", "Your card has insufficient funds."),
  },
  {
    ...PLAIN,
    number: "4000000000009987",
    token: "visa_chargeDeclinedLostCard",
    decline: declined("lost_card", "Your card was declined."),
  },
  {
    ...PLAIN,
    number: "4000000000009979",
    token: "visa_chargeDeclinedStolenCard",
    decline: declined("stolen_card", "Your card was declined."),
  },
  {
    ...PLAIN,
    number: "4000000000000069",
    token: "chargeDeclinedExpiredCard",
    decline: declined("expired_card", "Your card has expired.", "expired_card"),
  },
  {
    ...PLAIN,
    number: "4000000000000127",
    token: "chargeDeclinedIncorrectCvc",
    decline: declined("incorrect_cvc", "Your card's security code is incorrect.", "incorrect_cvc"),
  },
  {
    ...PLAIN,
    number: "4000000000000119",
    token: "chargeDeclinedProcessingError",
    decline: declined(
      "processing_error",
      "An error occurred while processing your card. Try again in a little bit.",
      "processing_error",
    ),
  },
  // Paying on Checkout counts as attaching it: the first payment succeeds and renewals fail.
  {
    ...PLAIN,
    number: "4000000000000341",
    token: "chargeCustomerFail",
    declineOnceSaved: GENERIC_DECLINE,
  },
  {
    ...PLAIN,
    number: "4000002500003155",
    token: "authenticationRequiredOnSetup",
    authenticates: true,
  },
  {
    ...PLAIN,
    number: "4000002760003184",
    token: "authenticationRequired",
    authenticates: true,
    alwaysAuthenticates: true,
  },
  { ...PLAIN, number: "4000000000000259", token: "createDispute", disputed: true },
  { ...PLAIN, number: "4000000000005126", token: "refundFail", refundsFail: true },
];
const BY_NUMBER = new Map(TEST_CARDS.map((card) => [card.number, card]));
const BY_TOKEN = new Map(TEST_CARDS.map((card) => [`pm_card_${card.token}`, card]));

/** The test card that a person typed, spaces and dashes aside; undefined for any other number. */
export const cardOf = (typed: string): TestCard | undefined =>
  BY_NUMBER.get(typed.replaceAll(/[\s-]/g, ""));

/** The ready-made test card behind `pm_card_visa` and its like. */
export const cardOfToken = (token: string): TestCard | undefined => BY_TOKEN.get(token);

export function brandOf(number: string): "visa" | "mastercard" | "amex" {
  if (number.startsWith("4")) return "visa";
  return number.startsWith("5") ? "mastercard" : "amex";
}
