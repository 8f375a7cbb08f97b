-- A VM that is lost already has its loss too: when it was last seen whole is not known any more, so it counts from when it was told.
INSERT INTO "losses" ("id", "vm_id", "order_id", "since", "settled_until")
SELECT uuidv7(), "id", "order_id", "lost_at", "lost_at" FROM "vms" WHERE "lost_at" IS NOT NULL AND "presence" = 'present';
