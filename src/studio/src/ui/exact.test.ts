import { describe, expect, it } from "vitest";

import { parseJson, writeJson } from "./exact";
import { readJson } from "./json";

describe("numbers that JavaScript would round", () => {
  it.each(["9007199254740993", "-9007199254740993", `1${"0".repeat(998)}1`, '{"a":[1,{"b":12345678901234567890}]}', '["9007199254740993","\\"1e22\\\\",1e22]'.replace("1e22]", "1e+22]")])("are written as they were: %s", (text) => {
    expect(writeJson(parseJson(text))).toBe(text);
  });

  it("are the same number where they were a fraction's", () => {
    expect(writeJson(parseJson("[1.152921504606847e18, 1E16, 1.5e300, 0.1234567890123456, 1.0]"))).toBe("[1152921504606846976,10000000000000000,1.5e+300,0.1234567890123456,1]");
  });

  it("stay apart from texts of the same digits", () => {
    expect(parseJson('{"number":9007199254740993,"text":"9007199254740993"}')).toEqual({ number: 9007199254740993n, text: "9007199254740993" });
  });

  it("are no others than JSON has", () => {
    for (const text of ["012345678901234567", "1234567890123456-7", "+12345678901234567", "12345678901234567."]) expect(() => parseJson(text), text).toThrow(SyntaxError);
  });

  it("are refused where there is no value for them", () => {
    expect(readJson('{\n  "a": 1e400 }')).toEqual({ ok: false, message: "This number is too large.", line: 2, column: 8 });
  });
});
