import "#core/result.ts";
import "#db/orders.ts";
import "./deps.ts";
