import { describe, expect, test } from "vitest";
import type { Clock } from "#core/ports.ts";
import type { Libvirt } from "./libvirt.ts";
import { createLook } from "./look.ts";

const uuid = "0190f000-0000-7000-8000-000000000001";
const clock: Clock = { now: () => new Date(0), sleep: async () => undefined };
type Answers = { transient: string; persistent: string; stats: string; list: string };
const WHOLE: Answers = {
  transient: "",
  persistent: uuid,
  stats: `Domain: 'somebody'\n  state.state=1\n  state.reason=1\n`,
  list: uuid,
};

/** libvirt gives these answers, one a look, and the last of them for ever. */
function aLook(answers: readonly Partial<Answers>[], { lives = false } = {}) {
  let asked = 0;
  const dumpxml = `<domain><uuid>${uuid}</uuid><name>somebody</name></domain>`;
  const libvirt: Libvirt = {
    run: async () => "",
    read: async (commands) => commands.map(() => dumpxml),
    readThen: async (commands) => {
      const said = { ...WHOLE, ...answers[Math.min(asked, answers.length - 1)] };
      asked += 1;
      const xml = commands.length > 3 ? [dumpxml] : [];
      return [said.transient, said.persistent, said.stats, ...xml, said.list];
    },
  };
  return createLook({ libvirt, clock, installation: () => null, lives: async () => lives });
}

describe("a look at libvirt", () => {
  const runs = expect.objectContaining({ uuid, power: "running", persistent: true });
  const refused = expect.objectContaining({ code: "hypervisor_unavailable" });
  const HOLES: Partial<Answers>[] = [{ transient: uuid }, { persistent: "" }, { stats: "" }];

  test.each(HOLES)("is taken again when its answers do not fit together: %j", async (hole) => {
    expect(await aLook([hole, {}]).all()).toEqual([runs]);
    expect(await aLook([hole, {}]).one(uuid)).toEqual(runs);
    await expect(aLook([hole]).all()).rejects.toEqual(refused);
    await expect(aLook([hole]).one(uuid)).rejects.toEqual(refused);
  });

  test("sees a host whole on which others come and go at every look", async () => {
    const passerBy = (n: number) => uuid.replace(/1$/, String(n));
    const looks = [2, 3, 4, 5, 6].map((n) => ({ list: `${uuid} ${passerBy(n)}` }));
    expect(await aLook(looks).all()).toEqual([runs]);
  });

  const none = { transient: "", persistent: "", stats: "", list: "" };

  test("finds no domain where libvirt has none and the kernel no process of it", async () => {
    expect(await aLook([none]).all()).toEqual([]);
    expect(await aLook([none]).one(uuid)).toBeNull();
  });

  test("does not take a VM for gone whose process lives", async () => {
    expect(await aLook([none, {}], { lives: true }).one(uuid)).toEqual(runs);
    await expect(aLook([none], { lives: true }).one(uuid)).rejects.toEqual(refused);
  });
});
