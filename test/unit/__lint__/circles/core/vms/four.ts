import type { Three } from "./three.ts"; // refused: Dependency cycle detected

export type Four = { three: Three | null };
