import { one } from "./one.ts"; // refused: Dependency cycle detected

export const two = () => one;
