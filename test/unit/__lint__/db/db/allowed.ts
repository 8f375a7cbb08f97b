import "#core/result.ts";
import "./schema/orders.ts";
import "drizzle-orm/pg-core";
import "pg";
