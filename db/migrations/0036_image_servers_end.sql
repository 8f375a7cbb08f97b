-- A host that serves no images any more has no row (ADR 0039).
GRANT DELETE ON "image_servers" TO berth_functions;
