import {
  addressesHaveOneOwner,
  agentsConverge,
  dataIsKept,
  generationsGrow,
  hostsAreNotOversold,
  hostsKeepToTheirOwn,
} from "./machines.ts";
import {
  changesAreRecorded,
  followsTheProvider,
  mailsAreSent,
  oneKeyOneOrder,
} from "./messages.ts";
import {
  cancelledStaysCancelled,
  ledgerBalances,
  noMachineBeforeFunds,
  paidIsServedOrReturned,
  refundsWithinCaptures,
} from "./money.ts";
import {
  diskGoesWithIt,
  documentsKeepToTheirHosts,
  oneHostHasIt,
  ownerMovesByRelease,
} from "./moves.ts";
import { drainsEnd, emptiedGetsNothing, maintenanceIsTold } from "./drains.ts";
import { eachVmOnce } from "./plan-migrations.ts";
import type { MakeCheck } from "./scene.ts";
import { guestsEarnNothing, soldIsMakeable } from "./promises.ts";
import {
  chargedAsOffered,
  chargesAreServed,
  ordersAreKept,
  roomIsHeld,
  sizesArePaid,
} from "./resizes.ts";
import { dunnedInOrder } from "./dunnings.ts";
import { triedOnce } from "./trials.ts";
import { endedAsksForNothing } from "./endings.ts";
import { lostIsNotBilled } from "./losses.ts";
import { bytesCountOnce, suspendedStops, unpaidStops, usageIsWhole } from "./time.ts";

/**
 * Every invariant, by its number. `pending`: what is still missing of the capability that it speaks of; when that is
 * built, its check goes here. An invariant without a check is reported, never left out.
 */
export const INVARIANTS: readonly Readonly<{
  number: number;
  make: MakeCheck | null;
  pending: string | null;
}>[] = [
  { number: 1, make: paidIsServedOrReturned, pending: null },
  { number: 2, make: noMachineBeforeFunds, pending: "integrations' entitlements" },
  { number: 2, make: triedOnce, pending: null },
  { number: 3, make: oneKeyOneOrder, pending: null },
  { number: 4, make: followsTheProvider, pending: null },
  { number: 5, make: cancelledStaysCancelled, pending: null },
  { number: 6, make: unpaidStops, pending: null },
  { number: 6, make: suspendedStops, pending: null },
  {
    number: 7,
    make: dataIsKept,
    pending: "disputes, and payments that are open",
  },
  { number: 7, make: dunnedInOrder, pending: null },
  // There is no table of balances that could differ: a balance is the fold, wherever one is read.
  { number: 8, make: ledgerBalances, pending: null },
  { number: 9, make: refundsWithinCaptures, pending: "rated usage" },
  { number: 9, make: endedAsksForNothing, pending: null },
  { number: 9, make: chargedAsOffered, pending: null },
  { number: 10, make: usageIsWhole, pending: null },
  { number: 11, make: bytesCountOnce, pending: null },
  { number: 12, make: null, pending: "meter events" },
  { number: 13, make: addressesHaveOneOwner, pending: null },
  { number: 14, make: hostsAreNotOversold, pending: null },
  { number: 14, make: roomIsHeld, pending: null },
  { number: 14, make: emptiedGetsNothing, pending: null },
  { number: 15, make: generationsGrow, pending: null },
  { number: 16, make: agentsConverge, pending: null },
  {
    number: 17,
    make: oneHostHasIt,
    pending: "live moves, and moves that a restored database knows no more of",
  },
  { number: 17, make: ownerMovesByRelease, pending: null },
  // Half of the plans must come to rest without a doorbell, and are told apart by whether one heals them (`simulate.ts`).
  { number: 18, make: () => ({ invariant: 18 }), pending: null },
  { number: 19, make: hostsKeepToTheirOwn, pending: null },
  { number: 19, make: documentsKeepToTheirHosts, pending: null },
  { number: 20, make: changesAreRecorded, pending: null },
  { number: 20, make: maintenanceIsTold, pending: null },
  { number: 20, make: mailsAreSent, pending: null },
  { number: 21, make: chargesAreServed, pending: null },
  { number: 22, make: ordersAreKept, pending: null },
  { number: 22, make: sizesArePaid, pending: null },
  { number: 23, make: eachVmOnce, pending: null },
  { number: 24, make: diskGoesWithIt, pending: null },
  { number: 24, make: drainsEnd, pending: null },
  { number: 25, make: lostIsNotBilled, pending: null },
  { number: 26, make: guestsEarnNothing, pending: null },
  { number: 27, make: soldIsMakeable, pending: null },
];

export const pendingOnes = (): readonly { invariant: number; missing: string }[] =>
  INVARIANTS.flatMap(({ number, pending }) =>
    pending === null ? [] : [{ invariant: number, missing: pending }],
  );
