export const here = 1; // refused: test/db/plans is no area
