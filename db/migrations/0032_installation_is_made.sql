-- Once, here: a database that is put back from a copy has the id that it had (ADR 0039).
INSERT INTO "installation" DEFAULT VALUES;
--> statement-breakpoint
REVOKE INSERT, UPDATE ON "installation" FROM berth_functions;
