// What the tests call by name.
import { draw, duplicate, publish } from "./editing";
import { follow } from "./followers";
import { foreign, nobody, tooMany } from "./limits";
import { list } from "./listing";
import { keepList } from "./lists";
import { cancel, hold, retry, run } from "./running";

Object.assign(globalThis, { journeys: { draw, publish, duplicate, run, hold, cancel, retry, list, nobody, tooMany, foreign, follow, keepList } });
