import "#commands/place-order.ts";
import "#core/result.ts";
import "../../router.ts";
import "hono";
