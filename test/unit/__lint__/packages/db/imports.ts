import "stripe"; // refused: db/imports.ts may not import the SDK stripe
import "better-auth"; // refused: db/imports.ts may not import the SDK better-auth
