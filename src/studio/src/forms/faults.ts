import { type OutputUnit, type Schema, Validator } from "@cfworker/json-schema";

import { isObject } from "../ui/json";

/** Something that does not fit a schema. */
export interface Fault {
  /** The keys and indexes that lead to it. */
  path: string[];
  keyword: string;
  message: string;
}

const MAX_FAULTS = 50;
/** These say that something is wrong below, which is said there as well. */
const SUMMARIES = new Set(["properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "items", "prefixItems", "additionalItems", "unevaluatedItems", "allOf", "if", "$ref", "$dynamicRef", "dependentSchemas", "propertyNames"]);

const validators = new WeakMap<object, Validator>();

/** What of a value does not fit a JSON Schema 2020-12. Interpreted, since a strict Content-Security-Policy lets nothing be compiled. */
export function faultsOf(schema: object, value: unknown): Fault[] {
  const { errors } = validatorOf(schema).validate(inNumbers(value ?? null));
  const certain = errors.filter((error) => !isOfAlternative(error, errors));
  const leaves = certain.filter((error) => !SUMMARIES.has(error.keyword));
  const shown = leaves.length > 0 ? leaves : certain.slice(0, 1);
  const faults = new Map(shown.map(faultOf).map((fault) => [JSON.stringify([fault.path, fault.message]), fault]));
  return [...faults.values()].slice(0, MAX_FAULTS);
}

/** The validator knows no bigints: near enough for what a schema asks of numbers. */
function inNumbers(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(inNumbers);
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, inNumbers(each)])) : value;
}

function validatorOf(schema: object): Validator {
  let validator = validators.get(schema);
  if (validator === undefined) {
    // A copy: the validator writes into the schema that it is given.
    validator = new Validator(inNumbers(schema) as Schema, "2020-12", false);
    validators.set(schema, validator);
  }
  return validator;
}

/** Whether it is about one alternative of several, none of which has to be the one that was meant. */
function isOfAlternative(error: OutputUnit, errors: readonly OutputUnit[]): boolean {
  return errors.some(({ keyword, keywordLocation }) => (keyword === "anyOf" || keyword === "oneOf") && error.keywordLocation.startsWith(`${keywordLocation}/`));
}

function faultOf({ instanceLocation, keyword, error }: OutputUnit): Fault {
  const path = pathOf(instanceLocation.replace(/^#/, ""));
  const name = /"(.*)"/s.exec(error)?.[1];
  if (keyword === "required" && name !== undefined) return { path: [...path, name], keyword, message: "It is required." };
  if (keyword === "false") return { path, keyword, message: "It is not allowed here." };
  return { path, keyword, message: error.replace(/^Instance (type )?/, "It ").replace("It \"", "The type \"") };
}

/** A JSON pointer's keys. */
export function pathOf(pointer: string): string[] {
  return pointer.split("/").slice(1).map((key) => decoded(key).replaceAll("~1", "/").replaceAll("~0", "~"));
}

function decoded(key: string): string {
  try {
    return decodeURI(key);
  } catch {
    return key;
  }
}
