import {
  handle,
  type APIGatewayProxyResult,
  type LambdaContext,
  type LambdaEvent,
} from "hono/aws-lambda";
import { agentLambda } from "#commands/runtime.ts";
import { createAgentApi } from "./app.ts";
import { withHeldMethod } from "./methods.ts";

/** The Lambda of everything below `/agent/`: the hosts' channel, which no rush of customers keeps waiting. */
export const handler = agentLambda<LambdaEvent, LambdaContext, APIGatewayProxyResult>((deps) => {
  const serve = handle(createAgentApi(deps));
  return async (event, context) => serve(withHeldMethod(event), context);
});
