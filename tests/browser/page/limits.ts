// What a page is refused: too many requests, no token, and everything at a foreign origin.
import { connect, equal, expect, header, refused, type Place } from "./client";
import { bearing, watch } from "./socket";

/** Refusals can be read too: their problem, and how long to wait. */
export async function tooMany(place: Place): Promise<void> {
  const client = connect(place);
  const ask = () => client.GET("/api/v1/workflows");
  let answer = await ask();
  for (let asked = 0; answer.response.ok && asked < 50; asked += 1) answer = await ask();
  refused(answer, 429, "too-many-requests");
  expect(Number(header(answer, "Retry-After")) >= 1, "seconds to wait");
  expect(header(answer, "RateLimit") !== header(answer, "RateLimit-Policy"), "what is left, of what");
}

export async function nobody({ api }: Place): Promise<void> {
  refused(await connect({ api, token: "forged" }).GET("/api/v1/runs"), 401, "invalid-token");
}

/** A page at another origin reads nothing, changes nothing, and watches nothing. */
export async function foreign(place: Place & { run: string }): Promise<void> {
  const client = connect(place);
  for (const ask of [
    () => client.GET("/api/v1/workflows"),
    () => client.POST("/api/v1/workflows", { body: { name: "Smuggled" } }),
  ]) {
    const outcome = await ask().then(
      ({ response }) => String(response.status),
      (error: unknown) => (error instanceof TypeError ? "no access" : String(error)),
    );
    equal(outcome, "no access", "what a foreign page gets");
  }
  const { frames, code } = await watch(place, place.run, { protocols: bearing(place.token) });
  equal([code, frames.map(({ type }) => type)], [4403, ["error"]], "what a foreign page sees");
}
