import "node:timers/promises";
export const now = () => new Date();
