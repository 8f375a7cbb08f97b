export const here = 1; // refused: core/subscriptions is no area
