import type { Four } from "./four.ts"; // refused: Dependency cycle detected

export type Three = { four: Four | null };
