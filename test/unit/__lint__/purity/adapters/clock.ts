import "uuid";
export const now = () => new Date();
