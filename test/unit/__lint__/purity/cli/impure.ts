import "node:timers/promises"; // refused: wait through the injected clock
import "uuid"; // refused: take ids and randomness from what is injected
declare const randomUUID: () => string;
export const a = new Date(); // refused: take `now` as an argument, or from the injected clock
export const b = Date.now(); // refused: take `now` as an argument, or from the injected clock
export const c = globalThis.performance.now(); // refused: take `now` as an argument, or from the injected clock
export const d = Math.random(); // refused: take ids and randomness from what is injected
export const e = crypto.randomUUID(); // refused: take ids and randomness from what is injected
export const f = randomUUID(); // refused: take ids and randomness from what is injected
export const g = setTimeout(() => undefined, 1); // refused: wait through the injected clock
