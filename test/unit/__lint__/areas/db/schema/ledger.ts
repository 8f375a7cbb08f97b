export const here = 1; // refused: db/schema/ledger.ts is no area
