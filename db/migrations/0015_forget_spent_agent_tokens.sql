-- What is kept until a token is worth nothing: the sweep deletes it.
GRANT DELETE ON "spent_agent_tokens" TO berth_functions;
