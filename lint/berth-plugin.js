// Berth's own lint rules: who may import whom (design §4), the areas (design §10), and purity of what decides.
import { layers } from "./layers.js";
import { pure } from "./pure.js";
import { rooms } from "./rooms.js";

export default { meta: { name: "berth" }, rules: { layers, pure, rooms } };
