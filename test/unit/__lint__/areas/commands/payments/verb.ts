export const here = 1; // refused: commands/payments is no area
