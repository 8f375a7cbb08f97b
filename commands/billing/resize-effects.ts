import type { MachineSize, Quote } from "#core/billing/quote.ts";
import type { ServicePrice } from "#core/billing/service.ts";
import { moneyText } from "#core/money-text.ts";

/** What a change comes to, in words for whoever is about to make it. */
export const effectsOf = (quote: Quote): readonly string[] => [
  ...(quote.method === "none"
    ? ["the machine stays as it is"]
    : [`the machine becomes ${machine(quote.to.machine)}; it has ${machine(quote.from.machine)}`]),
  ...HOW[quote.method](quote.downSeconds),
  quote.when === "now"
    ? "it is begun at once"
    : `it is begun before the period ends, at ${quote.appliesAt.toISOString()}`,
  ...ofMoney(quote),
];

const HOW: Readonly<Record<Quote["method"], (seconds: number) => readonly string[]>> = {
  none: () => [],
  live: () => ["its guest runs on"],
  restart: (seconds) => [`its guest is shut down and started: down for up to ${seconds} s`],
  move: (seconds) => [`it moves to another host: down for up to ${seconds} s`],
};

function ofMoney({ from, to, dueNow, credit, billing, order }: Quote): readonly string[] {
  if (dueNow === null || credit === null || from.price === null || to.price === null)
    return ["nobody is asked for money"];
  return [
    `the price becomes ${price(to.price)}; it is ${price(from.price)}`,
    ...(billing === "none"
      ? ["it counts from the next period on: nothing is charged for this one"]
      : []),
    ...(dueNow.minor > 0n ? [`${moneyText(dueNow)} are due now`] : []),
    ...(credit.minor > 0n ? [`${moneyText(credit)} go to the customer's balance`] : []),
    ...(order === "pay_first" ? ["nothing is done to the machine before that is paid"] : []),
  ];
}

const machine = ({ vcpus, memoryMib, diskGib, bandwidthMbit, diskIops }: MachineSize): string =>
  [
    `${vcpus} vCPUs`,
    `${memoryMib} MiB of memory`,
    `${diskGib} GiB of disk`,
    bandwidthMbit === null ? "no limit of bandwidth" : `${bandwidthMbit} Mbit/s`,
    diskIops === null ? "no limit of IOPS" : `${diskIops} IOPS`,
  ].join(", ");

const price = ({ interval, amount: of }: ServicePrice): string => `${moneyText(of)} a ${interval}`;
