import "#core/ports.ts";
import "aws-cdk-lib";
import "constructs";
import "cdk-nag";
