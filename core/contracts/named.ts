import { z } from "@hono/zod-openapi";

/**
 * A schema with a name of its own (`.openapi("Name")`), where it is used with more: null, a default, a description.
 * Said of the schema itself, the OpenAPI document would have it in the component, for every other use of the name.
 */
export const use = <T extends z.ZodType>(named: T) => z.lazy(() => named);
