export const here = 1; // refused: cli/widgets is no room of the command line
