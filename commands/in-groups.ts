/**
 * Many callers' work, done for all at once: what comes while a group is under way makes the next one. Whoever comes alone is
 * served alone and at once. `work` answers for each item, in their order. When it throws for a group, each of its items is
 * tried by itself, so that one that always fails costs no other; the work of one may thus be done twice.
 */
export function inGroups<I, O>(
  most: number,
  work: (items: readonly I[]) => Promise<readonly O[]>,
): (item: I) => Promise<O> {
  type Waiting = Readonly<{ item: I; ended: PromiseWithResolvers<O> }>;
  let waiting: Waiting[] = [];
  let busy = false;

  async function serve(group: readonly Waiting[]): Promise<void> {
    try {
      const answers = await work(group.map(({ item }) => item));
      for (const [n, answer] of answers.entries()) group[n]?.ended.resolve(answer);
    } catch (error) {
      if (group.length === 1) group[0]?.ended.reject(error);
      else for (const one of group) await serve([one]);
    }
  }
  async function serveAll(): Promise<void> {
    busy = true;
    for (;;) {
      const group = waiting.splice(0, most);
      if (group.length === 0) break;
      await serve(group);
    }
    busy = false;
  }
  return (item) => {
    const ended = Promise.withResolvers<O>();
    waiting.push({ item, ended });
    if (!busy) void serveAll();
    return ended.promise;
  };
}
