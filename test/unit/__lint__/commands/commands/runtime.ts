import "#adapters/sqs.ts";
import "drizzle-orm/node-postgres";
import "pg";
import "#functions/app.ts"; // refused: commands may not import functions
