/**
 * Whether a log-in is one that its owner is told of: it came from a network that the account was not logged in from in the last
 * months (`KEPT_MS.knownNetworks`), and there are others from which it was. The first log-in of all is nobody else's; whoever was
 * away for longer than that is not told either.
 */
export const isFromElsewhere = (before: Readonly<{ known: number; isKnown: boolean }>): boolean =>
  before.known > 0 && !before.isKnown;
