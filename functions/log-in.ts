import {
  handle,
  type APIGatewayProxyResult,
  type LambdaContext,
  type LambdaEvent,
} from "hono/aws-lambda";
import { logInLambda } from "#commands/runtime.ts";
import { createLogInApi } from "./app.ts";
import { withHeldMethod } from "./methods.ts";

/** The Lambda of everything below `/v1/auth`: the only one that holds the accounts' library. */
export const handler = logInLambda<LambdaEvent, LambdaContext, APIGatewayProxyResult>((deps) => {
  const serve = handle(createLogInApi(deps));
  return async (event, context) => serve(withHeldMethod(event), context);
});
