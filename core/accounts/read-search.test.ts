import { expect, test } from "vitest";
import { readSearch, type Sought } from "./read-search.ts";

const UUID = "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e5f6";
const HEX = UUID.replaceAll("-", "");

/* 6a item 6 */
test.each<[string, readonly Sought[]]>([
  [`vm_${HEX}`, [{ by: "id", of: "vm", id: UUID }]],
  [` ORD_${HEX.toUpperCase()} `, [{ by: "id", of: "order", id: UUID }]],
  [`img_${HEX}`, []],
  [UUID.toUpperCase(), [{ by: "id", of: null, id: UUID }]],
  [`nobodys_${HEX}`, [{ by: "beginning", text: `nobodys_${HEX}` }]],
  [
    "192.0.2.7",
    [
      { by: "address", address: "192.0.2.7" },
      { by: "beginning", text: "192.0.2.7" },
    ],
  ],
  ["192.0.2.256", [{ by: "beginning", text: "192.0.2.256" }]],
  [
    "sub_1AbC",
    [
      { by: "stripe", id: "sub_1AbC" },
      { by: "beginning", text: "sub_1abc" },
    ],
  ],
  ["Web-1", [{ by: "beginning", text: "web-1" }]],
  ["50%_off\\", [{ by: "beginning", text: "50%_off\\" }]],
])("%j looks for %j", (typed, sought) => {
  expect(readSearch(typed)).toEqual(sought);
});
