// Berth's own lint rules: who may import whom (design §4), and purity of what decides.
import { layers } from "./layers.js";
import { pure } from "./pure.js";

export default { meta: { name: "berth" }, rules: { layers, pure } };
