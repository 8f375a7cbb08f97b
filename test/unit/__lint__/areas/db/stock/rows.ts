export const here = 1; // refused: db/stock is no area
