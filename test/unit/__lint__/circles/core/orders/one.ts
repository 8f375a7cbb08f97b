import { two } from "./two.ts"; // refused: Dependency cycle detected

export const one = () => two;
