import "stripe"; // refused: commands/imports.ts may not import the SDK stripe
import "drizzle-orm"; // refused: commands/imports.ts may not import the SDK drizzle-orm
import "pg"; // refused: commands/imports.ts may not import the SDK pg
import "hono"; // refused: commands/imports.ts may not import the SDK hono
