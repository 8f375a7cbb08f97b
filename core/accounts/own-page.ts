/** Whether a URL is of a page of ours: who follows it comes back to us, and is sent nowhere else. */
export const isOwnPage = (url: string, publicUrl: string): boolean =>
  URL.canParse(url) && new URL(url).origin === new URL(publicUrl).origin;
