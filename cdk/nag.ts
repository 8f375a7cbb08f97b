import type { App } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";

/** What cdk-nag's AwsSolutions pack finds in a synthesised app and nobody acknowledged, a line each. */
export function nagFindings(app: App): string[] {
  const { violations } = new AwsSolutionsChecks(app).validateScope(app);
  return violations.flatMap(({ ruleName, description, violatingResources }) =>
    violatingResources.map((at) => `${ruleName} at ${at.constructPath}: ${description}`),
  );
}
