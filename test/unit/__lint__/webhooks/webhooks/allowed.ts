import "#commands/receive-stripe-event.ts";
import "#core/result.ts";
import "hono/body-limit";
