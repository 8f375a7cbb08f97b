/**
 * The currencies that Stripe takes payments in, in lower case as it writes them: the list that its API answers to one that it does not know
 * ("Stripe currently supports these currencies: ..."), as programs quote it that got it, and `xcg`, which took the place of `ang` since.
 * Left out of that list is what is no country's money any more (`eek`, `hrk`, `ltl`, `lvl`, `mro`, `sll`, `svc`, `vef`), and `usdc`, which is
 * no currency of ISO 4217. Decimals, steps and least charges below are those of docs.stripe.com/currencies; several programs that name that page
 * have copied the same figures from it.
 *
 * It is only added to: rows and documents of every age name them. What is sold in is another matter: that is what plans have prices in.
 */
export const CURRENCIES = [
  "aed",
  "afn",
  "all",
  "amd",
  "ang",
  "aoa",
  "ars",
  "aud",
  "awg",
  "azn",
  "bam",
  "bbd",
  "bdt",
  "bgn",
  "bhd",
  "bif",
  "bmd",
  "bnd",
  "bob",
  "brl",
  "bsd",
  "btn",
  "bwp",
  "byn",
  "bzd",
  "cad",
  "cdf",
  "chf",
  "clp",
  "cny",
  "cop",
  "crc",
  "cve",
  "czk",
  "djf",
  "dkk",
  "dop",
  "dzd",
  "egp",
  "etb",
  "eur",
  "fjd",
  "fkp",
  "gbp",
  "gel",
  "ghs",
  "gip",
  "gmd",
  "gnf",
  "gtq",
  "gyd",
  "hkd",
  "hnl",
  "htg",
  "huf",
  "idr",
  "ils",
  "inr",
  "isk",
  "jmd",
  "jod",
  "jpy",
  "kes",
  "kgs",
  "khr",
  "kmf",
  "krw",
  "kwd",
  "kyd",
  "kzt",
  "lak",
  "lbp",
  "lkr",
  "lrd",
  "lsl",
  "mad",
  "mdl",
  "mga",
  "mkd",
  "mmk",
  "mnt",
  "mop",
  "mur",
  "mvr",
  "mwk",
  "mxn",
  "myr",
  "mzn",
  "nad",
  "ngn",
  "nio",
  "nok",
  "npr",
  "nzd",
  "omr",
  "pab",
  "pen",
  "pgk",
  "php",
  "pkr",
  "pln",
  "pyg",
  "qar",
  "ron",
  "rsd",
  "rub",
  "rwf",
  "sar",
  "sbd",
  "scr",
  "sek",
  "sgd",
  "shp",
  "sle",
  "sos",
  "srd",
  "std",
  "szl",
  "thb",
  "tjs",
  "tnd",
  "top",
  "try",
  "ttd",
  "twd",
  "tzs",
  "uah",
  "ugx",
  "usd",
  "uyu",
  "uzs",
  "vnd",
  "vuv",
  "wst",
  "xaf",
  "xcd",
  "xcg",
  "xof",
  "xpf",
  "yer",
  "zar",
  "zmw",
] as const;
export type Currency = (typeof CURRENCIES)[number];

const known: ReadonlySet<string> = new Set(CURRENCIES);
export const isCurrency = (code: string): code is Currency => known.has(code);

/** docs.stripe.com/currencies#zero-decimal, but for `ugx`. */
const WITHOUT_DECIMALS: ReadonlySet<Currency> = new Set<Currency>([
  "bif",
  "clp",
  "djf",
  "gnf",
  "jpy",
  "kmf",
  "krw",
  "mga",
  "pyg",
  "rwf",
  "vnd",
  "vuv",
  "xaf",
  "xof",
  "xpf",
]);

/** docs.stripe.com/currencies#three-decimal: the last digit must be 0. */
export const THREE_DECIMALS = [
  "bhd",
  "jod",
  "kwd",
  "omr",
  "tnd",
] as const satisfies readonly Currency[];

/**
 * docs.stripe.com/currencies#special-cases: they have no decimals any more, and are written with two for the sake of older programs, which
 * must be 0. `huf` and `twd` are whole in payouts alone, which we make none of.
 */
export const WRITTEN_WITH_TWO = ["isk", "ugx"] as const satisfies readonly Currency[];

const isOneOf = (codes: readonly Currency[], currency: Currency): boolean =>
  codes.includes(currency);

/** How many of the last digits of an amount are decimals, to the provider: of 10 major units `1000` in usd, `10` in jpy, `10000` in kwd. */
export const decimalsOf = (currency: Currency): 0 | 2 | 3 =>
  WITHOUT_DECIMALS.has(currency) ? 0 : isOneOf(THREE_DECIMALS, currency) ? 3 : 2;

/** What an amount must be a multiple of, in minor units. */
export const stepOf = (currency: Currency): 1n | 10n | 100n =>
  isOneOf(THREE_DECIMALS, currency) ? 10n : isOneOf(WRITTEN_WITH_TWO, currency) ? 100n : 1n;

/**
 * The least that Stripe charges, in minor units: docs.stripe.com/currencies#minimum-and-maximum-charge-amounts. Of another currency it is
 * what half a dollar comes to on that day, which nobody can write down: half a unit is what we take it for, or fifty of one without decimals, and a whole one where there are no halves.
 */
const LEAST_CHARGES: Readonly<Partial<Record<Currency, bigint>>> = {
  aed: 200n,
  bgn: 100n,
  czk: 1500n,
  dkk: 250n,
  gbp: 30n,
  hkd: 400n,
  huf: 17_500n,
  mxn: 1000n,
  myr: 200n,
  nok: 300n,
  pln: 200n,
  ron: 200n,
  sek: 300n,
  thb: 1000n,
};
export function leastChargeOf(currency: Currency): bigint {
  const step = stepOf(currency);
  return LEAST_CHARGES[currency] ?? (step === 1n ? 50n : step === 10n ? 500n : 100n);
}
