import type { Three } from "./three.ts";

export const none: Three | null = null;
