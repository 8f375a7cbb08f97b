export const here = 1; // refused: host-agent/network is no room of the agent
