import { expect, test } from "vitest";
import { ACTION_ERROR_CODES, ACTION_ERROR_WORDS, type Action } from "#core/vms/action.ts";
import { toActionView } from "#functions/views.ts";

const HOST_SAID = "qemu-img: /srv/berth/vms/0198/disk.qcow2: No space left on device (br-7, web-9)";

const failed = (code: (typeof ACTION_ERROR_CODES)[number]): Action => ({
  id: "0198c0de-0000-7000-8000-00000000000a",
  vmId: "0198c0de-0000-7000-8000-00000000000b",
  type: "start",
  status: "error",
  generation: 3,
  startedAt: new Date("2026-03-01T12:00:00Z"),
  finishedAt: new Date("2026-03-01T12:01:00Z"),
  error: { code, message: HOST_SAID },
});

// 4b B7
test.each(ACTION_ERROR_CODES)(
  "what a host said of an action that failed (%s) is for staff; its owner reads what the code means",
  (code) => {
    const action = failed(code);
    expect(toActionView(action, { role: "staff" }).error).toEqual({ code, message: HOST_SAID });
    for (const role of ["customer", "integration"] as const)
      expect(toActionView(action, { role }).error).toEqual({
        code,
        message: ACTION_ERROR_WORDS[code],
      });
  },
);

test("an action that went well has no error, for anybody", () => {
  const action: Action = { ...failed("timed_out"), status: "success", error: null };
  for (const role of ["customer", "staff"] as const)
    expect(toActionView(action, { role }).error).toBeNull();
});
