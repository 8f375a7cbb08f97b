import "zod";
import "@hono/zod-openapi";
import "#core/result.ts";
import "./imports.ts";
